(* Arrays of 32-bit words, as bytes: an array of integers would have 64 bits for each. *)

external get_int32 : Bytes.t -> int -> int32 = "%caml_bytes_get32"
external set_int32 : Bytes.t -> int -> int32 -> unit = "%caml_bytes_set32"

type t = Bytes.t

(* With any contents. *)
let create words : t = Bytes.create (4 * words)
let make_zero words : t = Bytes.make (4 * words) '\000'
let length (block : t) = Bytes.length block / 4
let get (block : t) i = Int32.to_int (get_int32 block (4 * i)) land Words.mask
let set (block : t) i word = set_int32 block (4 * i) (Int32.of_int word)
