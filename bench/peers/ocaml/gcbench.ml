(* GCBench by Ellis, Kovac and Boehm: many short-lived trees beside a long-lived tree and array. *)

open Workload

let stretch_depth = 18
let long_lived_depth = 16
let array_length = 500_000
let depth_min = 4
let depth_max = 16
let depth_step = 2
let rounds_at_scale_1 = 10.0

type tree =
  | Empty
  | Node of { mutable left : tree; mutable right : tree; depth : int; serial : int }

type trees = { mutable checksum : int; mutable next_serial : int }

let make trees depth =
  let serial = trees.next_serial in
  trees.next_serial <- serial + 1;
  Node { left = Empty; right = Empty; depth; serial }

let rec populate trees tree depth =
  match tree with
  | Node node when depth > 0 ->
      node.left <- make trees (depth - 1);
      node.right <- make trees (depth - 1);
      populate trees node.left (depth - 1);
      populate trees node.right (depth - 1)
  | _ -> ()

let top_down trees depth =
  let root = make trees depth in
  populate trees root depth;
  root

let rec bottom_up trees depth =
  if depth <= 0 then make trees 0
  else
    let left = bottom_up trees (depth - 1) in
    let right = bottom_up trees (depth - 1) in
    let serial = trees.next_serial in
    trees.next_serial <- serial + 1;
    Node { left; right; depth; serial }

let rec read trees = function
  | Empty -> ()
  | Node { left; right; depth; serial } ->
      trees.checksum <- Words.add (Words.add trees.checksum depth) serial;
      read trees left;
      read trees right

let read_doubles trees doubles =
  let add_double checksum double =
    let bits = Int64.bits_of_float double in
    let low = Int64.to_int bits land Words.mask in
    let high = Int64.to_int (Int64.shift_right_logical bits 32) in
    Words.add (Words.add checksum low) high
  in
  trees.checksum <- Array.fold_left add_double trees.checksum doubles

(* Nodes of a perfect binary tree. *)
let size depth = float_of_int ((1 lsl (depth + 1)) - 1)

let run { scale; operations; _ } =
  let trees = { checksum = Words.checksum_start; next_serial = 0 } in
  read trees (bottom_up trees stretch_depth);
  let long_lived = top_down trees long_lived_depth in
  let element i = if i < array_length / 2 then 1.0 /. float_of_int (i + 1) else 0.0 in
  let doubles = Array.init array_length element in

  let work = rounds_at_scale_1 *. scale in
  let rounds = ceil work in
  let share = work /. rounds in
  for _ = 1 to truncate rounds do
    let depth = ref depth_min in
    while !depth <= depth_max do
      let d = !depth in
      let count = max 1 (truncate (share *. 2.0 *. size stretch_depth /. size d)) in
      let batch = trees_per_operation d in
      let tree = ref Empty in
      in_operations operations ~count ~batch (fun _ -> tree := top_down trees d);
      read trees !tree;
      in_operations operations ~count ~batch (fun _ -> tree := bottom_up trees d);
      read trees !tree;
      depth := d + depth_step
    done;
    read trees long_lived;
    read_doubles trees doubles
  done;
  trees.checksum
