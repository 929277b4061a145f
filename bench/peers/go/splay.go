package main

import "strconv"

// A splay tree whose nodes carry small trees: random insertions, each with a removal of a neighbour.

const (
	splayOperations                = 10_000
	splaySizeMax                   = 4000
	splaySizeMin                   = 100
	splayModificationsPerOperation = 80
	splayPayloadDepth              = 5
	splayArrayLength               = 10
)

type splayPayload interface{}

type splayLeaf struct {
	array []uint32
	text  string
}

type splayBranch struct {
	left, right splayPayload
}

type splayNode struct {
	left, right *splayNode
	payload     splayPayload
	key         uint32
}

type splayTree struct {
	checksum uint32
	random   random
	root     *splayNode
}

func makeSplayPayload(depth int, tag uint32) splayPayload {
	if depth > 0 {
		left := makeSplayPayload(depth-1, tag)
		right := makeSplayPayload(depth-1, tag)
		return &splayBranch{left, right}
	}
	array := make([]uint32, splayArrayLength)
	for i := range array {
		array[i] = tag + uint32(i)
	}
	return &splayLeaf{array, "String for key " + strconv.Itoa(int(tag)) + " in leaf node"}
}

func (t *splayTree) insertNew() uint32 {
	key := t.random.next() >> 1
	for t.has(key) {
		key = t.random.next() >> 1
	}
	node := &splayNode{key: key, payload: makeSplayPayload(splayPayloadDepth, key)}
	if root := t.root; root != nil {
		if key > root.key {
			node.left, node.right, root.right = root, root.right, nil
		} else {
			node.right, node.left, root.left = root, root.left, nil
		}
	}
	t.root = node
	return key
}

func (t *splayTree) modify() {
	t.splay(t.insertNew())
	victim := t.root.left
	if victim == nil {
		victim = t.root
	} else {
		for victim.right != nil {
			victim = victim.right
		}
	}
	t.readPart(t.remove(victim.key))
}

func (t *splayTree) has(key uint32) bool {
	if t.root == nil {
		return false
	}
	t.splay(key)
	return t.root.key == key
}

func (t *splayTree) remove(key uint32) *splayNode {
	t.splay(key)
	removed := t.root
	if removed.left == nil {
		t.root = removed.right
	} else {
		t.root = removed.left
		t.splay(key)
		t.root.right = removed.right
	}
	return removed
}

func (t *splayTree) splay(key uint32) {
	var dummy splayNode
	smaller, greater, current := &dummy, &dummy, t.root
loop:
	for {
		switch {
		case key < current.key:
			if current.left == nil {
				break loop
			}
			if key < current.left.key {
				child := current.left
				current.left, child.right = child.right, current
				current = child
				if current.left == nil {
					break loop
				}
			}
			greater.left = current
			greater, current = current, current.left
		case key > current.key:
			if current.right == nil {
				break loop
			}
			if key > current.right.key {
				child := current.right
				current.right, child.left = child.left, current
				current = child
				if current.right == nil {
					break loop
				}
			}
			smaller.right = current
			smaller, current = current, current.right
		default:
			break loop
		}
	}
	smaller.right = current.left
	greater.left = current.right
	current.left = dummy.right
	current.right = dummy.left
	t.root = current
}

// readPart reads the key, and of the leaf that its lowest bits lead to one element and one byte.
func (t *splayTree) readPart(node *splayNode) {
	at := node.payload
	for i := 0; i < splayPayloadDepth; i++ {
		branch := at.(*splayBranch)
		if node.key>>i&1 == 0 {
			at = branch.left
		} else {
			at = branch.right
		}
	}
	leaf := at.(*splayLeaf)
	length := uint32(len(leaf.text))
	sum := addWord(addWord(t.checksum, node.key), leaf.array[node.key%splayArrayLength])
	t.checksum = addWord(addWord(sum, length), uint32(leaf.text[node.key%length]))
}

func (t *splayTree) readPayload(payload splayPayload) {
	switch p := payload.(type) {
	case *splayBranch:
		t.readPayload(p.left)
		t.readPayload(p.right)
	case *splayLeaf:
		for _, element := range p.array {
			t.checksum = addWord(t.checksum, element)
		}
		t.checksum = addWord(t.checksum, uint32(len(p.text)))
	}
}

func splay(c *context) uint32 {
	count := rounded(splayOperations * c.scale)
	tree := &splayTree{checksum: checksumStart, random: random{c.seed}}
	for left := min(splaySizeMax, max(splaySizeMin, 4*count)); left > 0; left-- {
		tree.insertNew()
	}
	for i := 0; i < count; i++ {
		c.operations.begin()
		for left := splayModificationsPerOperation; left > 0; left-- {
			tree.modify()
		}
		c.operations.end()
	}
	for tree.root != nil {
		tree.splay(0)
		tree.checksum = addWord(tree.checksum, tree.root.key)
		tree.readPayload(tree.root.payload)
		tree.root = tree.root.right
	}
	return tree.checksum
}
