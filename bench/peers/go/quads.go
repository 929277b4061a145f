package main

// Short-lived trees of nodes with four children beside a long-lived one.

const (
	quadsPerRound          = 3200
	quadsRounds            = 20
	quadsLiveDepth         = 9
	quadsLiveDepthSmall    = 6
	quadsSmallScale        = 0.05 // below this scale a run is too short for the large tree
	quadsGarbageDepth      = 3
	quadsTreesPerOperation = 16
)

type quad struct {
	children [4]*quad
	serial   uint32
}

type quadForest struct {
	checksum, serial uint32
}

func (f *quadForest) build(depth int) *quad {
	var children [4]*quad
	if depth > 0 {
		for i := range children {
			children[i] = f.build(depth - 1)
		}
	}
	q := &quad{children, f.serial}
	f.serial++
	return q
}

func (f *quadForest) read(q *quad) {
	f.checksum = addWord(f.checksum, q.serial)
	if q.children[0] != nil {
		for _, child := range q.children {
			f.read(child)
		}
	}
}

func quads(c *context) uint32 {
	forest := quadForest{checksum: checksumStart}
	liveDepth := quadsLiveDepth
	if c.scale < quadsSmallScale {
		liveDepth = quadsLiveDepthSmall
	}
	live := forest.build(liveDepth)
	count := rounded(quadsPerRound * c.scale)
	for round := 0; round < quadsRounds; round++ {
		for i := 0; i < count; i++ {
			c.operations.begin()
			for tree := 0; tree < quadsTreesPerOperation; tree++ {
				q := forest.build(quadsGarbageDepth)
				forest.checksum = addWord(addWord(forest.checksum, q.serial), q.children[2].serial)
			}
			c.operations.end()
		}
		forest.read(live)
	}
	return forest.checksum
}
