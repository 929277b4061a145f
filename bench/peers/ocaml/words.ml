(* Checksum and generator, the same in every language: bench/workloads/README.md. Words are the low 32 bits of native integers. *)

let mask = 0xffff_ffff
let checksum_start = 0x811c9dc5

(* The product of two words may have 64 bits, of which an integer keeps the low 63: enough. *)
let multiply a b = a * b land mask

(* FNV-1a over 32-bit words. *)
let add checksum word = multiply (checksum lxor word) 0x01000193

(* Scatters the bits of a word. *)
let mix word =
  let h = multiply (word lxor (word lsr 16)) 0x85ebca6b in
  let h = multiply (h lxor (h lsr 13)) 0xc2b2ae35 in
  h lxor (h lsr 16)

(* mulberry32; the state begins as the seed. *)
type random = { mutable state : int }

let next random =
  random.state <- (random.state + 0x6d2b79f5) land mask;
  let t = random.state in
  let t = multiply (t lxor (t lsr 15)) (t lor 1) in
  let t = t lxor ((t + multiply (t lxor (t lsr 7)) (t lor 61)) land mask) in
  t lxor (t lsr 14)

(* From 0 up to, not including, 1. *)
let unit random = float_of_int (next random) /. 4294967296.0

(* From 0 up to, not including, [limit]. *)
let below random limit = truncate (unit random *. float_of_int limit)
