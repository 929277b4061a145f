package main

// Allocation of mixed sizes beside a live set in which random survivors are replaced.

const (
	hyperOperations        = 32_768
	hyperSlotsMax          = 49_152
	hyperSlotsMin          = 1024
	hyperScatter           = 0x9e3779b1
	hyperItemsPerOperation = 256
	hyperSurvivesEvery     = 16
	hyperYoung             = 64
	hyperSwapsPerOperation = 8
)

// hyperSizes: a class is for draws below its first number, of 100.
var hyperSizes = [...]struct{ below, lowWords, highWords uint32 }{
	{60, 2, 8},
	{90, 9, 64},
	{98, 65, 512},
	{100, 513, 4096},
}

type hyperItem struct {
	data []uint32
	id   uint32
}

type hyperItems struct {
	checksum uint32
	random   random
	slots    []*hyperItem
	young    [hyperYoung]*hyperItem
	id       uint32
}

func (h *hyperItems) make() *hyperItem {
	drawn := h.random.below(100)
	size := 0
	for drawn >= hyperSizes[size].below {
		size++
	}
	low := hyperSizes[size].lowWords
	data := make([]uint32, low+h.random.below(hyperSizes[size].highWords-low+1))
	data[0] = h.id * hyperScatter
	data[len(data)-1] = mix(h.id)
	item := &hyperItem{data, h.id}
	h.id++
	return item
}

func (h *hyperItems) read(item *hyperItem) {
	data := item.data
	sum := addWord(addWord(h.checksum, item.id), uint32(len(data)))
	h.checksum = addWord(addWord(sum, data[0]), data[len(data)-1])
}

func (h *hyperItems) step() {
	slots := uint32(len(h.slots))
	for i := 0; i < hyperItemsPerOperation; i++ {
		item := h.make()
		if i%hyperSurvivesEvery != 0 {
			h.young[i%hyperYoung] = item
			continue
		}
		slot := h.random.below(slots)
		h.read(h.slots[slot])
		h.slots[slot] = item
	}
	for i := 0; i < hyperSwapsPerOperation; i++ {
		a := h.random.below(slots)
		b := h.random.below(slots)
		h.slots[a], h.slots[b] = h.slots[b], h.slots[a]
	}
}

func hyperalloc(c *context) uint32 {
	count := rounded(hyperOperations * c.scale)
	items := &hyperItems{checksum: checksumStart, random: random{c.seed}}
	items.slots = make([]*hyperItem, min(hyperSlotsMax, max(hyperSlotsMin, 6*count)))
	for i := range items.slots {
		items.slots[i] = items.make()
	}
	for i := 0; i < count; i++ {
		c.operations.begin()
		items.step()
		c.operations.end()
	}
	for _, item := range items.slots {
		items.read(item)
	}
	for _, item := range items.young {
		if item != nil {
			items.read(item)
		}
	}
	return items.checksum
}
