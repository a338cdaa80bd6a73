// The polynomial behind 2^x.
#pragma once

namespace quipu {
namespace {

// 2^r, 0 <= r < 1, highest power first: minimax of relative error (8e-8) with value 1 at 0.
constexpr float two_to_r[] = {0.0018671300495043397f, 0.009017030708491802f, 0.05579991266131401f,
                              0.24016444385051727f,   0.6931512951850891f,   1.0f};

}  // namespace
}  // namespace quipu
