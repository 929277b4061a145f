package main

// A long chain in random order, renewed in places and followed from end to end.

const (
	chaseRounds              = 20
	chaseNodes               = 262_144
	chaseNodesSmall          = 16_384
	chaseSmallScale          = 0.05 // below this scale a run is too short for the long chain
	chaseRenewEvery          = 16
	chaseChases              = 8
	chaseStepsPerOperation   = 1024
	chaseGarbagePerOperation = 64
	chaseBallastWords        = 11
)

type chaseNode struct {
	next      *chaseNode
	id, value uint32
	ballast   [chaseBallastWords]uint32
}

type chaseChain struct {
	checksum uint32
	random   random
	table    []*chaseNode
	at       *chaseNode
	garbage  *chaseNode // the last that was made to be dropped: what nobody keeps need not be made at all
	id       uint32
}

func (c *chaseChain) make() *chaseNode {
	node := &chaseNode{id: c.id, value: mix(c.id)}
	c.id++
	return node
}

func (c *chaseChain) build(nodes int) {
	places := make([]uint32, nodes)
	for i := range places {
		places[i] = uint32(i)
	}
	for i := uint32(nodes - 1); i > 0; i-- {
		j := c.random.below(i + 1)
		places[i], places[j] = places[j], places[i]
	}
	c.table = make([]*chaseNode, nodes)
	for _, place := range places {
		c.table[place] = c.make()
	}
	for i, node := range c.table[:nodes-1] {
		node.next = c.table[i+1]
	}
}

func (c *chaseChain) renew() {
	for left := len(c.table) / chaseRenewEvery; left > 0; left-- {
		place := c.random.below(uint32(len(c.table)))
		node := c.make()
		node.next = c.table[place].next
		if place > 0 {
			c.table[place-1].next = node
		}
		c.table[place] = node
	}
}

func (c *chaseChain) step() {
	for i := 0; i < chaseGarbagePerOperation; i++ {
		c.garbage = c.make()
	}
	node := c.at
	sum := c.checksum
	for i := 0; i < chaseStepsPerOperation; i++ {
		sum = addWord(sum, node.id^node.value)
		node = node.next
	}
	c.at = node
	c.checksum = sum
}

func pointerChase(c *context) uint32 {
	nodes := chaseNodes
	if c.scale < chaseSmallScale {
		nodes = chaseNodesSmall
	}
	chain := &chaseChain{checksum: checksumStart, random: random{c.seed}}
	chain.build(nodes)
	rounds := rounded(chaseRounds * c.scale)
	for round := 0; round < rounds; round++ {
		chain.renew()
		// Here the managed heap is asked for a cycle. runtime.GC() would wait for one.
		for chase := 0; chase < chaseChases; chase++ {
			chain.at = chain.table[0]
			for done := 0; done < nodes; done += chaseStepsPerOperation {
				c.operations.begin()
				chain.step()
				c.operations.end()
			}
		}
	}
	return chain.checksum
}
