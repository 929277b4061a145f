package main

import "math"

// Checksum and generator, the same in every language: bench/workloads/README.md.

const checksumStart uint32 = 0x811c9dc5

// addWord is FNV-1a over 32-bit words.
func addWord(checksum, word uint32) uint32 {
	return (checksum ^ word) * 0x01000193
}

// mix scatters the bits of a word.
func mix(word uint32) uint32 {
	h := word
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// random is mulberry32; the state begins as the seed.
type random struct {
	state uint32
}

func (r *random) next() uint32 {
	r.state += 0x6d2b79f5
	t := r.state
	t = (t ^ t>>15) * (t | 1)
	t ^= t + (t^t>>7)*(t|61)
	return t ^ t>>14
}

// unit is from 0 up to, not including, 1.
func (r *random) unit() float64 {
	return float64(r.next()) / 4294967296
}

// below is from 0 up to, not including, limit.
func (r *random) below(limit uint32) uint32 {
	return uint32(math.Floor(r.unit() * float64(limit)))
}
