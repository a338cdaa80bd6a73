// The Llama transformer over paged keys and values: one scheduled step per call.
//
// Letters as in kernels.h. Tokens of any number of sequences lie end to end; the arithmetic is that
// of model/transformer.py, and a test holds the two together. Weights are borrowed: whoever sets
// them keeps them alive, so that they may be a file's pages, shared between processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "attend.h"
#include "error.h"
#include "kernels.h"
#include "multiply.h"
#include "pool.h"
#include "threads.h"

namespace quipu {

struct Shape {
  int32_t dim;        // D
  int32_t layers;     // L
  int32_t heads;      // H
  int32_t kv_heads;   // K
  int32_t head_size;  // E
  int32_t ffn;        // F
  int32_t vocab;      // V, rows of the embedding
  float norm_eps;
};

// Rotary angles are position * frequency [E / 2], cos and sin times factor.
struct Rotary {
  std::vector<float> frequency;
  float factor;
};

struct Memory {
  KvFormat format;
  int32_t page_size;
  int32_t num_pages;
};

struct Layer {
  const float* attention_norm;  // [D]
  Matrix wq, wk, wv, wo;        // [HE, D], [KE, D], [KE, D], [D, HE]
  const float* ffn_norm;        // [D]
  Matrix w1, w3, w2;            // gate [F, D], up [F, D], down [D, F]
};

struct Weights {
  Matrix embedding;  // [V, D]
  std::vector<Layer> layers;
  const float* norm;  // [D]
  Matrix output;      // [V, D]; the embedding itself where they are tied
};

// Sequence s owns rows starts[s] .. starts[s + 1] of tokens and positions; its context, these rows
// included, is contexts[s] long and lies in pages [s, width] (engine/batch.py).
struct Batch {
  const int32_t* tokens;     // [T]
  const int32_t* positions;  // [T]
  const int32_t* starts;     // [S + 1]
  const int32_t* contexts;   // [S]
  const int32_t* pages;      // [S, width]
  const int32_t* select;     // [N], rising
  int32_t rows, sequences, width, selected;
};

// What one layer multiplies, kept for a quantiser.
struct LayerInputs {
  float* attention;  // [T, D], read by wq, wk, wv
  float* output;     // [T, HE], read by wo
  float* gate;       // [T, D], read by w1, w3
  float* down;       // [T, F], read by w2
};

// Memory of a step, grown to the largest seen.
class Scratch {
 public:
  float* floats(size_t count);  // valid until the next call; aligned to 64, not initialised

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> memory_;
  size_t bytes_ = 0;
};

class Model {
 public:
  // Weights may be set later, before the first step. Raises std::bad_alloc without room for pages.
  Model(const Shape& shape, Rotary rotary, const Memory& memory, const Kernels& kernels,
        int threads);
  ~Model();

  Weights weights;

  const Shape& shape() const { return shape_; }
  Isa isa() const { return kernels_.isa; }
  int threads() const { return threads_.count(); }

  // An error if a weight is missing or has the wrong shape.
  Error check_weights() const;

  // Stores keys and values of all rows and computes logits [N, V] of the selected ones. best [N] is
  // the first largest among the first `choices` logits of each, or -1 if a logit is not finite.
  Error step(const Batch& batch, int32_t choices, float* logits, int32_t* best);

  // For quantisers: x [T, D] = the embeddings of tokens [T].
  Error embed(const int32_t* tokens, int32_t rows, float* x);
  // One layer on `rows` tokens of one sequence from position 0; x in place. Uses the first pages.
  Error layer(int32_t index, int32_t rows, float* x, const LayerInputs& inputs);

 private:
  struct Rows;

  Error check_layer(const Layer& layer) const;
  Error check(const Batch& batch) const;
  Rows lay_out_rows(int32_t count);
  std::vector<AttendTask> tasks_of(const Batch& batch, const Rows& rows) const;
  Pool pool(int32_t layer) const;
  Error turn(const int32_t* positions, Rows& rows);
  Error multiply_normed(Rows& rows, const float* norm, const Product* products, int count);
  Error multiply_rows(Rows& rows, const float* x, int32_t inputs, const Product* products,
                      int count);
  Error attention(int32_t index, Rows& rows, const std::vector<AttendTask>& tasks);
  Error feed_forward(int32_t index, Rows& rows);
  void keep_selected(const Batch& batch, Rows& rows) const;
  void choose(const float* logits, int32_t rows, int32_t choices, int32_t* best);

  Shape shape_;
  Rotary rotary_;
  Memory memory_;
  const Kernels& kernels_;
  Threads threads_;
  Scratch scratch_;
  std::unique_ptr<uint8_t, void (*)(void*)> keys_, values_;  // of all layers
};

}  // namespace quipu
