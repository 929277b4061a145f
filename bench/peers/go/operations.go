package main

import (
	"io"
	"syscall"
	"time"
	"unsafe"
)

const (
	loggedMax  = 200_000
	pairBytes  = 16
	nsPerMs    = 1e6
	spinLength = time.Millisecond // the last part of a wait is spent looking at the clock
)

// operations tells when each operation of a thread began and ended, and, under an open load, when it may begin. The log is memory
// that the collector does not know, mapped and touched beforehand: it is no part of the heap that GOGC and GOMEMLIMIT look at.
type operations struct {
	log      []float64
	at       int
	interval float64 // nanoseconds between two operations; 0 is a closed loop
	origin   time.Time
	first    time.Time
	index    int
}

// newOperations makes an empty log. A rate of 0: each operation begins when the one before it is over.
func newOperations(rate float64) (*operations, error) {
	// One pair more than are logged: all further ones are written there.
	bytes, err := syscall.Mmap(-1, 0, (loggedMax+1)*pairBytes,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	o := &operations{log: unsafe.Slice((*float64)(unsafe.Pointer(&bytes[0])), len(bytes)/8)}
	if rate > 0 {
		o.interval = 1e9 / rate
	}
	return o, nil
}

func (o *operations) begin() {
	if o.interval > 0 {
		o.awaitDue()
	}
	o.log[o.at] = float64(time.Since(o.origin)) / nsPerMs
}

func (o *operations) end() {
	o.log[o.at+1] = float64(time.Since(o.origin)) / nsPerMs
	if o.at < 2*loggedMax {
		o.at += 2
	}
}

func (o *operations) awaitDue() {
	if o.index == 0 {
		o.first = time.Now()
	}
	due := time.Duration(float64(o.index) * o.interval)
	o.index++
	for left := due - time.Since(o.first); left > 0; left = due - time.Since(o.first) {
		if left > spinLength {
			time.Sleep(left - spinLength)
		}
	}
}

func (o *operations) count() int {
	return o.at / 2
}

// writeTo writes little-endian doubles: x86-64's own.
func (o *operations) writeTo(w io.Writer) error {
	if o.at == 0 {
		return nil
	}
	_, err := w.Write(unsafe.Slice((*byte)(unsafe.Pointer(&o.log[0])), o.at*8))
	return err
}
