package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// processStart is the zero of the times in the lines of GODEBUG=gctrace=1, but for the fraction of a millisecond that the runtime
// needed to get here.
var processStart = time.Now()

// pauseLog is the file that the runtime's trace goes to while the workload runs.
type pauseLog struct {
	file   *os.File
	stderr int
}

// openPauseLog makes standard error, where the runtime writes its trace, the file that TOSPACE_PAUSE_LOG names. Nil without one.
func openPauseLog() (*pauseLog, error) {
	name := os.Getenv("TOSPACE_PAUSE_LOG")
	if name == "" {
		return nil, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	stderr, err := syscall.Dup(2)
	if err != nil {
		return nil, err
	}
	return &pauseLog{file, stderr}, syscall.Dup3(int(file.Fd()), 2, 0)
}

// close gives standard error back and writes down when the workload began and ended.
func (log *pauseLog) close(begin, end time.Time) error {
	if log == nil {
		return nil
	}
	if err := syscall.Dup3(log.stderr, 2, 0); err != nil {
		return err
	}
	const line = "[%dns] workload %s\n"
	fmt.Fprintf(log.file, line, begin.Sub(processStart).Nanoseconds(), "begin")
	fmt.Fprintf(log.file, line, end.Sub(processStart).Nanoseconds(), "end")
	return log.file.Close()
}
