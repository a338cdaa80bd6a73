// The one table through which everything reaches code compiled for an instruction set.
//
// Letters, as in model/transformer.py: T packed tokens, D model width, H query heads, K key/value
// heads, E head size, F feed-forward, P pages. Of a weight matrix: O outputs, I inputs, G = I / 32
// groups of inputs, B = ceil(O / 16) panels of outputs.
//
// This file is included by translation units of every instruction set, so it holds plain types
// only: a function body here could be linked from an AVX-512 object into baseline code.
#pragma once

#include <cstdint>

#include "isa.h"
#include "pool.h"

namespace quipu {

constexpr int panel_outputs = 16;   // one 512-bit register of sums, two of 256 bits
constexpr int group_inputs = 32;    // of GGUF's q8_0 and q4_0, so that both are repacked exactly
constexpr int key_block = 64;       // keys that attention scores before it updates its maximum
constexpr int key_span = 512;       // keys after which attention merges and begins afresh
constexpr int max_head_size = 256;
constexpr int max_group_heads = 64;  // query heads of one key/value head
constexpr int max_part_rows = 64;    // query heads of several queries that attend together

enum class Format { fp32, bf16, int8, int4 };

// A set of formats: bit 1 << format of each.
using Formats = uint32_t;
constexpr Formats bf16_alone = 1u << static_cast<unsigned>(Format::bf16);
constexpr Formats int8_alone = 1u << static_cast<unsigned>(Format::int8);
constexpr Formats int4_alone = 1u << static_cast<unsigned>(Format::int4);
constexpr Formats with_scales = int8_alone | int4_alone;

// A weight matrix [O, I] in packed form (weights.h says how it lies). Owns nothing.
struct Matrix {
  Format format;
  int32_t outputs;         // O
  int32_t inputs;          // I, a multiple of 32
  // fp32 [B, I, 16]; bf16 [B, I / 2, 16, 2]; bytes, of int8 [B, G, 8, 16, 4], of int4
  // [B, G, 4, 16, 4]
  const uint8_t* values;
  const uint16_t* scales;  // fp16 [B, G, 16]; null for fp32 and bf16
};

// Of a group of one row's quantised activations.
struct GroupScale {
  float scale;      // the activation is about q * scale
  int32_t less8;    // -8 * sum of q, takes the offset of int4 out of a dot product; or in two parts
  int32_t less128;  // -128 * sum of q, the same for int8
};

// Activations [T, I] as the kernels of one instruction set want them. Owns nothing.
struct Activations {
  int32_t rows;        // T
  int32_t inputs;      // I
  const float* x;      // [T, I]
  int8_t* q;           // [T, I], in -127..127
  GroupScale* scales;  // [T, G]
  uint16_t* bf16;      // [T, I]
};

// y [T, O], rows y_stride numbers apart, = x w^T or, with add, y + x w^T. Owns nothing.
struct Product {
  Matrix w;
  float* y;
  int32_t y_stride;
  bool add;
};

// Part of a product: panels [first_panel, last_panel) of rows [first_row, last_row).
struct Tile {
  int32_t first_panel, last_panel;
  int32_t first_row, last_row;
};

// One sequence's new tokens: their keys and values are stored, their queries attend. Owns nothing.
struct AttendTask {
  const float* q;          // [T, H, E], rotated; rows q_stride numbers apart
  const float* k;          // [T, K, E], rotated; rows kv_stride numbers apart
  const float* v;          // [T, K, E]; rows kv_stride numbers apart
  float* out;              // [T, H, E], rows out_stride numbers apart
  const int32_t* pages;    // the pages of this sequence, in order of position
  int32_t queries;         // T
  int32_t first_position;  // of the first token; query t sees positions 0..first_position + t
  int32_t heads;           // H, a multiple of K
  int32_t q_stride, kv_stride, out_stride;
  float scale;             // on scores: 1 / sqrt(E)
};

// Query heads of one key/value head, of queries [first, last), over the keys of one span. Its rows
// are query by query, the group's heads of each; at most max_part_rows of them.
struct AttendPart {
  int32_t kv_head;
  int32_t first, last;
  int32_t span;  // positions [span * key_span, (span + 1) * key_span)
};

// What a part's rows gathered of the keys so far, R rows; a row without a key has total 0. Owns
// nothing.
struct Gathered {
  float* largest;  // [R] largest score, in units of the instruction set's own
  float* total;    // [R] sum of weights
  float* sums;     // [R, E] weighted values
};

// One query head over one document of t tokens, for training: [t, E] each, packed. Owns nothing.
struct HeadTask {
  const float *q, *k, *v;
  // Forward: what each query sees, its largest score, and its total of exponentials beside it.
  float* out;
  float *largest, *total;  // [t]
  // Backward: log of the sum of exponentials of scores [t], the gradient by out, its product with
  // out [t], and what gradients are added to.
  const float *normaliser, *by_out, *delta;
  float *by_q, *by_k, *by_v;
  float* scratch;  // key_block * ((t / key_block + 3) * E + 2 * block_queries) numbers
  int32_t tokens, head_size;
  float scale;  // on scores: 1 / sqrt(E)
};
constexpr int block_queries = 48;  // whose weights meet keys and values together

// A factor of a product in fixed point: numbers [outer, depth], or turned, [depth, outer], rows
// `stride` apart. Owns nothing.
struct FixedFactor {
  const float* x;
  int64_t stride;
  bool turned;
};

// y [rows, columns] = a b^T, for training. Of every row of a and b, each stretch of
// fixed_depth numbers is rounded to integers of up to +-fixed_largest with a scale of its own;
// their products are summed exactly and stretches added in fp32, in order. A stretch with a number
// that is none gives results that are none. Owns nothing.
struct FixedTask {
  FixedFactor a, b;
  float* y;
  int64_t y_stride;
  int32_t rows, columns, depth;
  int32_t* words;  // scratch, see fixed.cc
  float* scales;
};
constexpr int fixed_depth = 256;
constexpr int fixed_largest = 2895;    // fixed_depth of its squares fit 32 bits
constexpr float fixed_least = 1e-30f;  // what is no larger counts as 0
constexpr int fixed_panel = 32;        // columns that are packed side by side, at most
constexpr int fixed_rows = 48;         // rows that meet a panel while both are in the cache

// Every function is free of allocation and exceptions, trusts its arguments (the ops check them)
// and runs on one thread. A row's result depends on that row alone, bit for bit, however rows are
// tiled.
struct Kernels {
  Isa isa;
  // Fills what `multiply` reads for these formats, of rows [first, last).
  void (*prepare)(const Activations& x, Formats formats, int32_t first, int32_t last);
  // The tile only.
  void (*multiply)(const Product& product, const Activations& x, const Tile& tile);
  // y [T, D] = x / sqrt(mean(x^2) + eps) * weight [D]; y may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, int32_t rows, int32_t width,
                   float* y);
  // x [T, H, E] in place, rows x_stride numbers apart: pairs (e, e + E / 2) turned by cos, sin
  // [T, E / 2].
  void (*rotate)(float* x, int64_t x_stride, const float* cos, const float* sin, int32_t rows,
                 int32_t heads, int32_t head_size);
  // out [size] = silu(gate) * up; out may be either.
  void (*silu_mul)(const float* gate, const float* up, int64_t size, float* out);
  // Keys and values of `kv_head` of tokens [first, last) into their pages.
  void (*store)(const Pool& pool, const AttendTask& task, int32_t kv_head, int32_t first,
                int32_t last);
  // Scores, weights and weighted values of one span.
  void (*attend)(const Pool& pool, const AttendTask& task, const AttendPart& part,
                 const Gathered& out);
  // into = into and the span that follows it.
  void (*merge)(const Gathered& into, const Gathered& next, int32_t rows, int32_t head_size);
  // task.out = sums / total.
  void (*finish)(const Pool& pool, const AttendTask& task, const AttendPart& part,
                 const Gathered& all);
  // Index of the first largest of x [size], size > 0; a NaN is never it unless x[0] is.
  int32_t (*argmax)(const float* x, int32_t size);
  // Causal attention of training: forward, and backward.
  void (*see_document)(const HeadTask& task);
  void (*unsee_document)(const HeadTask& task);
  // All of a product of training.
  void (*multiply_fixed)(const FixedTask& task);
};

// Writes every table that build and machine have, the best last, and returns how many. A set may
// have two: with and without an extension.
constexpr int32_t max_kernels = 6;
int32_t runnable_kernels(const Kernels** out);

// The best of an instruction set, or of the next lower one where build or machine has none of it.
const Kernels& kernels_of(Isa isa);

// True if kernels_of gives kernels of the set itself.
bool has_kernels(Isa isa);

}  // namespace quipu
