package main

import "math"

// GCBench by Ellis, Kovac and Boehm: many short-lived trees beside a long-lived tree and array.

const (
	gcbenchDepthMin  = 4
	gcbenchDepthStep = 2
	// An operation builds as many trees as have about the nodes of one of this depth.
	operationDepth   = 10
	serialsPerThread = 1 << 24
)

type gcbenchPlan struct {
	stretchDepth, longLivedDepth, depthMax int
	arrayLength                            int
	rounds                                 float64
}

var (
	gcbenchSingle   = gcbenchPlan{18, 16, 16, 500_000, 10}
	gcbenchThreaded = gcbenchPlan{15, 13, 14, 125_000, 40}
)

type gcbenchNode struct {
	left, right *gcbenchNode
	depth       int32
	serial      uint32
}

// gcbenchTrees builds and reads trees.
type gcbenchTrees struct {
	checksum, serial uint32
}

func (t *gcbenchTrees) node(depth int) *gcbenchNode {
	n := &gcbenchNode{depth: int32(depth), serial: t.serial}
	t.serial++
	return n
}

func (t *gcbenchTrees) topDown(depth int) *gcbenchNode {
	root := t.node(depth)
	t.populate(root, depth)
	return root
}

func (t *gcbenchTrees) populate(parent *gcbenchNode, depth int) {
	if depth <= 0 {
		return
	}
	parent.left = t.node(depth - 1)
	parent.right = t.node(depth - 1)
	t.populate(parent.left, depth-1)
	t.populate(parent.right, depth-1)
}

func (t *gcbenchTrees) bottomUp(depth int) *gcbenchNode {
	if depth <= 0 {
		return t.node(0)
	}
	left := t.bottomUp(depth - 1)
	right := t.bottomUp(depth - 1)
	n := t.node(depth)
	n.left, n.right = left, right
	return n
}

func (t *gcbenchTrees) read(n *gcbenchNode) {
	t.checksum = addWord(addWord(t.checksum, uint32(n.depth)), n.serial)
	if n.left != nil {
		t.read(n.left)
		t.read(n.right)
	}
}

func (t *gcbenchTrees) readDoubles(array []float64) {
	sum := t.checksum
	for _, element := range array {
		bits := math.Float64bits(element)
		sum = addWord(addWord(sum, uint32(bits)), uint32(bits>>32))
	}
	t.checksum = sum
}

// treeSize is the number of nodes of a perfect binary tree.
func treeSize(depth int) float64 {
	return float64(int(1)<<(depth+1) - 1)
}

// treesPerOperation is how many trees of a depth one operation builds.
func treesPerOperation(depth int) int {
	return 1 << max(0, operationDepth-depth)
}

func (plan gcbenchPlan) run(c *context) uint32 {
	trees := gcbenchTrees{checksum: checksumStart, serial: uint32(c.thread) * serialsPerThread}

	trees.read(trees.bottomUp(plan.stretchDepth))
	longLived := trees.topDown(plan.longLivedDepth)
	array := make([]float64, plan.arrayLength)
	for i := range array[:len(array)/2] {
		array[i] = 1 / float64(i+1)
	}

	work := plan.rounds * c.scale
	rounds := math.Ceil(work)
	share := work / rounds
	for round := 0; round < int(rounds); round++ {
		for depth := gcbenchDepthMin; depth <= plan.depthMax; depth += gcbenchDepthStep {
			count := max(1, int(math.Floor(share*2*treeSize(plan.stretchDepth)/treeSize(depth))))
			batch := treesPerOperation(depth)
			var tree *gcbenchNode
			for done := 0; done < count; {
				end := min(count, done+batch)
				c.operations.begin()
				for ; done < end; done++ {
					tree = trees.topDown(depth)
				}
				c.operations.end()
			}
			trees.read(tree)
			for done := 0; done < count; {
				end := min(count, done+batch)
				c.operations.begin()
				for ; done < end; done++ {
					tree = trees.bottomUp(depth)
				}
				c.operations.end()
			}
			trees.read(tree)
		}
		trees.read(longLived)
		trees.readDoubles(array)
	}
	return trees.checksum
}
