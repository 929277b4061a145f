package main

import (
	"fmt"
	"math"
	"strconv"
)

const threadsMax = 64

// arguments is the command line, the same in every language: WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE
type arguments struct {
	workload workload
	scale    float64
	seed     uint32
	threads  int
	rate     float64 // operations per second and thread; 0 is a closed loop
	ops      string
}

func parseArguments(args []string) (*arguments, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("usage: WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE")
	}
	chosen, found := workloads[args[0]]
	if !found {
		return nil, fmt.Errorf("no workload %s", args[0])
	}
	a := &arguments{workload: chosen}
	seeded := false
	for i := 1; i < len(args); i += 2 {
		name := args[i]
		if i+1 == len(args) {
			return nil, fmt.Errorf("%s needs a value", name)
		}
		value := args[i+1]
		var err error
		switch name {
		case "--scale":
			a.scale, err = positive(name, value)
		case "--seed":
			var seed int64
			seed, err = integer(name, value, 0, math.MaxUint32)
			a.seed = uint32(seed)
			seeded = true
		case "--threads":
			var threads int64
			threads, err = integer(name, value, 1, threadsMax)
			a.threads = int(threads)
		case "--rate":
			a.rate, err = positive(name, value)
		case "--ops":
			a.ops = value
		default:
			err = fmt.Errorf("no option %s", name)
		}
		if err != nil {
			return nil, err
		}
	}
	if a.scale == 0 || !seeded || a.threads == 0 || a.ops == "" {
		return nil, fmt.Errorf("--scale, --seed, --threads and --ops are needed")
	}
	if a.threads > 1 && !chosen.threaded {
		return nil, fmt.Errorf("%s runs in one thread", args[0])
	}
	return a, nil
}

func positive(name, value string) (float64, error) {
	number, err := strconv.ParseFloat(value, 64)
	if err != nil || !(number > 0) || math.IsInf(number, 0) {
		return 0, fmt.Errorf("%s takes a number above 0, not %s", name, value)
	}
	return number, nil
}

func integer(name, value string, min, max int64) (int64, error) {
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < min || number > max {
		return 0, fmt.Errorf("%s takes an integer from %d to %d, not %s", name, min, max, value)
	}
	return number, nil
}
