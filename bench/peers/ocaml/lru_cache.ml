(* A hash table and a doubly linked list with least-recently-used eviction under skewed lookups. *)

open Workload

let lookups_at_scale_1 = 16_000_000.0
let capacity_max = 131_072
let capacity_min = 1024
let keys_per_entry = 4
let value_words_max = 24
let scatter = 0x9e3779b1
let replace_every = 8
let lookups_per_operation = 1024

type entry =
  | Nil
  | Entry of {
      mutable chain : entry;
      mutable newer : entry;
      mutable older : entry;
      mutable value : Block.t;
      key : int;
      mutable version : int;
    }

type cache = {
  table : entry array;
  mutable newest : entry;
  mutable oldest : entry;
  mutable size : int;
  capacity : int;
  mutable checksum : int;
}

let create capacity =
  let rec buckets n = if n < capacity then buckets (2 * n) else n in
  let table = Array.make (buckets 1) Nil in
  { table; newest = Nil; oldest = Nil; size = 0; capacity; checksum = Words.checksum_start }

let make_value key version =
  let identity = Words.mix ((key + Words.multiply version scatter) land Words.mask) in
  let length = 1 + ((identity lsr 8) mod value_words_max) in
  let value = Block.create length in
  for i = 0 to length - 1 do
    Block.set value i (Words.multiply ((identity + i) land Words.mask) scatter)
  done;
  value

let bucket cache key = Words.mix key land (Array.length cache.table - 1)

let rec find_in key = function
  | Entry entry when entry.key <> key -> find_in key entry.chain
  | found -> found

let read cache = function
  | Nil -> ()
  | Entry { key; version; value; _ } ->
      let sum = ref (Words.add (Words.add cache.checksum key) version) in
      for i = 0 to Block.length value - 1 do
        sum := Words.add !sum (Block.get value i)
      done;
      cache.checksum <- !sum

let unlink cache = function
  | Nil -> ()
  | Entry { newer; older; _ } ->
      (match newer with Nil -> cache.newest <- older | Entry before -> before.older <- older);
      (match older with Nil -> cache.oldest <- newer | Entry after -> after.newer <- newer)

let link_newest cache = function
  | Nil -> ()
  | Entry entry as linked ->
      entry.newer <- Nil;
      entry.older <- cache.newest;
      (match cache.newest with Nil -> cache.oldest <- linked | Entry second -> second.newer <- linked);
      cache.newest <- linked

(* Takes [victim] out of the chain behind [before]. *)
let rec unchain victim after = function
  | Nil -> ()
  | Entry before when before.chain == victim -> before.chain <- after
  | Entry before -> unchain victim after before.chain

(* Removes the entry that was used longest ago. *)
let evict cache =
  match cache.oldest with
  | Nil -> ()
  | Entry { key; chain; _ } as victim ->
      unlink cache victim;
      let bucket = bucket cache key in
      let first = cache.table.(bucket) in
      if first == victim then cache.table.(bucket) <- chain else unchain victim chain first

let insert cache key =
  let value = make_value key 0 in
  if cache.size = cache.capacity then evict cache else cache.size <- cache.size + 1;
  let bucket = bucket cache key in
  let entry = Entry { chain = cache.table.(bucket); newer = Nil; older = Nil; value; key; version = 0 } in
  cache.table.(bucket) <- entry;
  link_newest cache entry

(* Looks [key] up: a hit is read and moved to the front, a miss is inserted. *)
let use cache key ~replace =
  match find_in key cache.table.(bucket cache key) with
  | Nil -> insert cache key
  | Entry entry as found ->
      read cache found;
      unlink cache found;
      link_newest cache found;
      if replace then (
        entry.version <- entry.version + 1;
        entry.value <- make_value key entry.version)

let rec read_all cache = function
  | Nil -> cache.checksum <- Words.add cache.checksum cache.size
  | Entry { older; _ } as entry ->
      read cache entry;
      read_all cache older

let run { scale; seed; operations } =
  let lookups = rounded (lookups_at_scale_1 *. scale) in
  let capacity = min capacity_max (max capacity_min (lookups / 16)) in
  let keys = float_of_int (capacity * keys_per_entry) in
  let random = { Words.state = seed } in
  let cache = create capacity in
  in_operations operations ~count:lookups ~batch:lookups_per_operation (fun i ->
      (* The square makes small keys more frequent. *)
      let unit = Words.unit random in
      use cache (truncate (unit *. unit *. keys)) ~replace:(i mod replace_every = 0));
  read_all cache cache.newest;
  cache.checksum
