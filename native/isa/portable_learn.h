// The obvious slow twin of vector_learn.h: one query after another, natural exponentials.
#pragma once

#include <cmath>

#include "../kernels.h"

namespace quipu {
namespace {

float score_of(const HeadTask& x, int64_t query, int64_t key) {
  const float *q = x.q + query * x.head_size, *k = x.k + key * x.head_size;
  float sum = 0;
  for (int32_t e = 0; e < x.head_size; ++e) sum += q[e] * k[e];
  return sum * x.scale;
}

void see_document(const HeadTask& x) {
  for (int64_t t = 0; t < x.tokens; ++t) {
    float* out = x.out + t * x.head_size;
    float largest = score_of(x, t, 0), total = 0;
    for (int64_t key = 1; key < t + 1; ++key) largest = std::fmax(largest, score_of(x, t, key));
    for (int64_t e = 0; e < x.head_size; ++e) out[e] = 0;
    for (int64_t key = 0; key <= t; ++key) {
      const float weight = std::exp(score_of(x, t, key) - largest);
      total += weight;
      for (int64_t e = 0; e < x.head_size; ++e) out[e] += weight * x.v[key * x.head_size + e];
    }
    for (int64_t e = 0; e < x.head_size; ++e) out[e] /= total;
    x.largest[t] = largest;
    x.total[t] = total;
  }
}

void unsee_document(const HeadTask& x) {
  const int64_t E = x.head_size;
  for (int64_t t = 0; t < x.tokens; ++t) {
    for (int64_t key = 0; key <= t; ++key) {
      const float weight = std::exp(score_of(x, t, key) - x.normaliser[t]);
      float by = -x.delta[t];
      for (int64_t e = 0; e < E; ++e) by += x.by_out[t * E + e] * x.v[key * E + e];
      by *= weight * x.scale;
      for (int64_t e = 0; e < E; ++e) {
        x.by_q[t * E + e] += by * x.k[key * E + e];
        x.by_k[key * E + e] += by * x.q[t * E + e];
        x.by_v[key * E + e] += weight * x.by_out[t * E + e];
      }
    }
  }
}

}  // namespace
}  // namespace quipu
