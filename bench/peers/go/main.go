// Runs one workload once, writes the log of its operations, and prints one line of JSON.
package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	statusFailed = 1
	statusUsage  = 2
)

func main() {
	arguments, err := parseArguments(os.Args[1:])
	if err != nil {
		exit(statusUsage, err)
	}
	if err := run(arguments); err != nil {
		exit(statusFailed, err)
	}
}

func exit(status int, err error) {
	fmt.Fprintln(os.Stderr, "go peer:", err)
	os.Exit(status)
}

func run(a *arguments) error {
	// Found missing now, not after the run.
	file, err := os.Create(a.ops)
	if err != nil {
		return err
	}
	logs := make([]*operations, a.threads)
	for i := range logs {
		if logs[i], err = newOperations(a.rate); err != nil {
			return err
		}
	}
	pauses, err := openPauseLog()
	if err != nil {
		return err
	}

	checksums := make([]uint32, a.threads)
	beginCPU := cpuMs()
	begin := time.Now()
	var all sync.WaitGroup
	for i := range logs {
		logs[i].origin = begin
		all.Add(1)
		go func(thread int) {
			defer all.Done()
			checksums[thread] = a.workload.run(&context{a.scale, a.seed, thread, logs[thread]})
		}(i)
	}
	all.Wait()
	end := time.Now()
	endCPU := cpuMs()

	if err := pauses.close(begin, end); err != nil {
		return err
	}
	count := 0
	for _, log := range logs {
		count += log.count()
		if err := log.writeTo(file); err != nil {
			return err
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	peak, err := peakRSSBytes()
	if err != nil {
		return err
	}
	fmt.Printf("{\"checksum\":%d,\"wallMs\":%.3f,\"cpuMs\":%.3f,\"peakRssBytes\":%d,\"operations\":%d}\n",
		a.combine(checksums), float64(end.Sub(begin))/nsPerMs, endCPU-beginCPU, peak, count)
	return nil
}

// combine makes one checksum of the threads'.
func (a *arguments) combine(checksums []uint32) uint32 {
	if !a.workload.threaded {
		return checksums[0]
	}
	combined := checksumStart
	for _, checksum := range checksums {
		combined = addWord(combined, checksum)
	}
	return combined
}

// cpuMs is the time of all threads in user and kernel mode, the collector's included.
func cpuMs() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / nsPerMs
}

var highWaterMark = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peakRSSBytes() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	match := highWaterMark.FindSubmatch(status)
	if match == nil {
		return 0, fmt.Errorf("/proc/self/status has no VmHWM")
	}
	kib, err := strconv.ParseInt(string(match[1]), 10, 64)
	return kib * 1024, err
}
