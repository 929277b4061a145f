package main

import "math"

// context is what a thread that runs a workload is given.
type context struct {
	scale      float64
	seed       uint32
	thread     int
	operations *operations
}

// workload is a deterministic algorithm, specified in bench/workloads/README.md.
type workload struct {
	// run returns the checksum of all that was read.
	run func(*context) uint32
	// threaded: runs in any number of threads at once.
	threaded bool
}

var workloads = map[string]workload{
	"gcbench":       {run: gcbenchSingle.run},
	"gcbench-mt":    {run: gcbenchThreaded.run, threaded: true},
	"binary-trees":  {run: binaryTrees},
	"lru-cache":     {run: lruCache},
	"splay":         {run: splay},
	"quads":         {run: quads},
	"hyperalloc":    {run: hyperalloc},
	"pointer-chase": {run: pointerChase},
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// rounded is a number of things: at least 1, halves up.
func rounded(number float64) int {
	return max(1, int(math.Floor(number+0.5)))
}
