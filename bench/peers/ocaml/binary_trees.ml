(* binary-trees of the Benchmarks Game: perfect trees built, counted and dropped. *)

open Workload

let depth_min = 4
let depth_limit = 18
let depth_least = 8
let games = 2.0

type tree = Leaf | Node of tree * tree

let rec build depth =
  if depth = 0 then Node (Leaf, Leaf)
  else
    let left = build (depth - 1) in
    let right = build (depth - 1) in
    Node (left, right)

let rec count = function Leaf -> 0 | Node (left, right) -> 1 + count left + count right

let run { scale; operations; _ } =
  let depth_wanted = depth_limit + truncate (Float.floor (Float.log2 scale)) in
  let depth_max = min depth_limit (max depth_least depth_wanted) in
  let repeats = games *. scale *. float_of_int (1 lsl (depth_limit - depth_max)) in

  let checksum = ref (Words.add Words.checksum_start (count (build (depth_max + 1)))) in
  let long_lived = build depth_max in
  let depth = ref depth_min in
  while !depth <= depth_max do
    let d = !depth in
    let wanted = float_of_int (1 lsl (depth_max - d + depth_min)) *. repeats in
    let iterations = rounded wanted in
    let nodes = ref 0 in
    in_operations operations ~count:iterations ~batch:(trees_per_operation d) (fun _ ->
        nodes := !nodes + count (build d));
    checksum := Words.add (Words.add !checksum iterations) (!nodes land Words.mask);
    depth := d + 2
  done;
  Words.add !checksum (count long_lived)
