package main

import "math"

// binary-trees of the Benchmarks Game: perfect trees built, counted and dropped.

const (
	binaryTreesDepthMin   = 4
	binaryTreesDepthMax   = 18
	binaryTreesDepthLeast = 8
	binaryTreesGames      = 2
)

type binaryNode struct {
	left, right *binaryNode
}

func buildBinary(depth int) *binaryNode {
	if depth == 0 {
		return &binaryNode{}
	}
	left := buildBinary(depth - 1)
	right := buildBinary(depth - 1)
	return &binaryNode{left, right}
}

func (n *binaryNode) count() uint32 {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func binaryTrees(c *context) uint32 {
	depthMax := binaryTreesDepthMax + int(math.Floor(math.Log2(c.scale)))
	depthMax = min(binaryTreesDepthMax, max(binaryTreesDepthLeast, depthMax))
	repeats := binaryTreesGames * c.scale * float64(int(1)<<(binaryTreesDepthMax-depthMax))

	checksum := addWord(checksumStart, buildBinary(depthMax+1).count())
	longLived := buildBinary(depthMax)
	for depth := binaryTreesDepthMin; depth <= depthMax; depth += 2 {
		wanted := float64(int(1)<<(depthMax-depth+binaryTreesDepthMin)) * repeats
		iterations := rounded(wanted)
		batch := treesPerOperation(depth)
		var nodes uint32
		for done := 0; done < iterations; {
			end := min(iterations, done+batch)
			c.operations.begin()
			for ; done < end; done++ {
				nodes += buildBinary(depth).count()
			}
			c.operations.end()
		}
		checksum = addWord(addWord(checksum, uint32(iterations)), nodes)
	}
	return addWord(checksum, longLived.count())
}
