(* A splay tree whose nodes carry small trees: random insertions, each with a removal of a neighbour. *)

open Workload

let operations_at_scale_1 = 10_000.0
let size_max = 4000
let size_min = 100
let modifications_per_operation = 80
let payload_depth = 5
let array_length = 10

type payload =
  | Leaf of { array : Block.t; text : string }
  | Branch of { left : payload; right : payload }

type node =
  | Nil
  | Node of { mutable left : node; mutable right : node; key : int; payload : payload }

type tree = { mutable checksum : int; random : Words.random; mutable root : node }

let add tree word = tree.checksum <- Words.add tree.checksum word

let rec make_payload depth tag =
  if depth > 0 then
    let left = make_payload (depth - 1) tag in
    let right = make_payload (depth - 1) tag in
    Branch { left; right }
  else
    let array = Block.create array_length in
    for i = 0 to array_length - 1 do
      Block.set array i (tag + i)
    done;
    Leaf { array; text = "String for key " ^ string_of_int tag ^ " in leaf node" }

let left_of = function Nil -> Nil | Node { left; _ } -> left
let right_of = function Nil -> Nil | Node { right; _ } -> right
let set_left node child = match node with Nil -> () | Node node -> node.left <- child
let set_right node child = match node with Nil -> () | Node node -> node.right <- child

(* [smaller] and [greater] are the ends of the trees of what is smaller and greater than the key; they begin as the dummy. *)
let rec splay_from key current smaller greater =
  match current with
  | Nil -> assert false
  | Node node when key < node.key -> (
      match node.left with
      | Nil -> (current, smaller, greater)
      | Node child as rotated when key < child.key ->
          node.left <- child.right;
          child.right <- current;
          if child.left == Nil then (rotated, smaller, greater)
          else (
            set_left greater rotated;
            splay_from key child.left smaller rotated)
      | child ->
          set_left greater current;
          splay_from key child smaller current)
  | Node node when key > node.key -> (
      match node.right with
      | Nil -> (current, smaller, greater)
      | Node child as rotated when key > child.key ->
          node.right <- child.left;
          child.left <- current;
          if child.right == Nil then (rotated, smaller, greater)
          else (
            set_right smaller rotated;
            splay_from key child.right rotated greater)
      | child ->
          set_right smaller current;
          splay_from key child current greater)
  | Node _ -> (current, smaller, greater)

let no_payload = Leaf { array = Block.create 0; text = "" }

let splay tree key =
  let dummy = Node { left = Nil; right = Nil; key = 0; payload = no_payload } in
  let root, smaller, greater = splay_from key tree.root dummy dummy in
  set_right smaller (left_of root);
  set_left greater (right_of root);
  set_left root (right_of dummy);
  set_right root (left_of dummy);
  tree.root <- root

let key_of = function Nil -> -1 | Node { key; _ } -> key

let has tree key =
  tree.root != Nil
  && (
    splay tree key;
    key_of tree.root = key)

let rec draw_key tree =
  let key = Words.next tree.random lsr 1 in
  if has tree key then draw_key tree else key

let insert_new tree =
  let key = draw_key tree in
  let payload = make_payload payload_depth key in
  let root = tree.root in
  (if root == Nil then tree.root <- Node { left = Nil; right = Nil; key; payload }
  else if key > key_of root then (
    tree.root <- Node { left = root; right = right_of root; key; payload };
    set_right root Nil)
  else (
    tree.root <- Node { left = left_of root; right = root; key; payload };
    set_left root Nil));
  key

let remove tree key =
  splay tree key;
  let removed = tree.root in
  (match left_of removed with
  | Nil -> tree.root <- right_of removed
  | left ->
      tree.root <- left;
      splay tree key;
      set_right tree.root (right_of removed));
  removed

(* Reads the key, and of the leaf that its lowest bits lead to one element and one byte. *)
let read_part tree key payload =
  let rec go_down i = function
    | Branch { left; right } -> go_down (i + 1) (if (key lsr i) land 1 = 0 then left else right)
    | Leaf { array; text } ->
        let length = String.length text in
        add tree key;
        add tree (Block.get array (key mod array_length));
        add tree length;
        add tree (Char.code text.[key mod length])
  in
  go_down 0 payload

let rec read_payload tree = function
  | Branch { left; right } ->
      read_payload tree left;
      read_payload tree right
  | Leaf { array; text } ->
      for i = 0 to array_length - 1 do
        add tree (Block.get array i)
      done;
      add tree (String.length text)

let rec rightmost node = match right_of node with Nil -> node | right -> rightmost right

let modify tree =
  splay tree (insert_new tree);
  let victim = match left_of tree.root with Nil -> tree.root | left -> rightmost left in
  match remove tree (key_of victim) with
  | Nil -> ()
  | Node { key; payload; _ } -> read_part tree key payload

let rec read_all tree =
  if tree.root != Nil then (
    splay tree 0;
    match tree.root with
    | Nil -> ()
    | Node { key; payload; right; _ } ->
        add tree key;
        read_payload tree payload;
        tree.root <- right;
        read_all tree)

let run { scale; seed; operations } =
  let count = rounded (operations_at_scale_1 *. scale) in
  let tree = { checksum = Words.checksum_start; random = { Words.state = seed }; root = Nil } in
  for _ = 1 to min size_max (max size_min (4 * count)) do
    ignore (insert_new tree)
  done;
  in_operations operations ~count ~batch:1 (fun _ ->
      for _ = 1 to modifications_per_operation do
        modify tree
      done);
  read_all tree;
  tree.checksum
