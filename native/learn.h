// Attention of training: causal, document by document, forward and backward, fp32.
//
// Letters as in kernels.h; t are the tokens of one document.
#pragma once

#include "error.h"
#include "kernels.h"

namespace quipu {

// Documents packed end to end: document d has tokens [bounds[d], bounds[d + 1]). Owns nothing.
struct Packed {
  const float* q;         // [T, H, E]
  const float* k;         // [T, K, E]
  const float* v;         // [T, K, E]
  const int32_t* bounds;  // [documents + 1], rising
  int32_t documents;
  int32_t heads, kv_heads, head_size;
};

// What each query sees of its document up to itself: out [T, H, E]; normaliser [T, H] is the
// logarithm of the sum of exponentials of its scores, which the backward pass needs.
Error attend_documents(const Kernels& kernels, const Packed& x, float* out, float* normaliser,
                       int threads);

// Gradients by q, k and v, from that by out, of what `attend_documents` gave.
Error attend_documents_backward(const Kernels& kernels, const Packed& x, const float* out,
                                const float* normaliser, const float* by_out, float* by_q,
                                float* by_k, float* by_v, int threads);

}  // namespace quipu
