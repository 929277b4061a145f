(* Allocation of mixed sizes beside a live set in which random survivors are replaced. *)

open Workload

let operations_at_scale_1 = 32_768.0
let slots_max = 49_152
let slots_min = 1024
let scatter = 0x9e3779b1
let items_per_operation = 256
let survives_every = 16
let young_items = 64
let swaps_per_operation = 8

(* The lowest and the highest number of words, by a number that was drawn below 100. *)
let size_class drawn =
  if drawn < 60 then (2, 8)
  else if drawn < 90 then (9, 64)
  else if drawn < 98 then (65, 512)
  else (513, 4096)

type item = Nil | Item of { data : Block.t; id : int }

type items = {
  mutable checksum : int;
  random : Words.random;
  slots : item array;
  young : item array;
  mutable next_id : int;
}

let make items =
  let low, high = size_class (Words.below items.random 100) in
  let words = low + Words.below items.random (high - low + 1) in
  let id = items.next_id in
  items.next_id <- id + 1;
  let data = Block.make_zero words in
  Block.set data 0 (Words.multiply id scatter);
  Block.set data (words - 1) (Words.mix id);
  Item { data; id }

let read items = function
  | Nil -> ()
  | Item { data; id } ->
      let words = Block.length data in
      let sum = Words.add (Words.add items.checksum id) words in
      items.checksum <- Words.add (Words.add sum (Block.get data 0)) (Block.get data (words - 1))

let step items =
  let { slots; young; random; _ } = items in
  let count = Array.length slots in
  for i = 0 to items_per_operation - 1 do
    let item = make items in
    if i mod survives_every <> 0 then young.(i mod young_items) <- item
    else
      let slot = Words.below random count in
      read items slots.(slot);
      slots.(slot) <- item
  done;
  for _ = 1 to swaps_per_operation do
    let a = Words.below random count in
    let b = Words.below random count in
    let swapped = slots.(a) in
    slots.(a) <- slots.(b);
    slots.(b) <- swapped
  done

let run { scale; seed; operations } =
  let count = rounded (operations_at_scale_1 *. scale) in
  let slots = Array.make (min slots_max (max slots_min (6 * count))) Nil in
  let young = Array.make young_items Nil in
  let random = { Words.state = seed } in
  let items = { checksum = Words.checksum_start; random; slots; young; next_id = 0 } in
  for i = 0 to Array.length slots - 1 do
    slots.(i) <- make items
  done;
  in_operations operations ~count ~batch:1 (fun _ -> step items);
  Array.iter (read items) slots;
  Array.iter (read items) young;
  items.checksum
