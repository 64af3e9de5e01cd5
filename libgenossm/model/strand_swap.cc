#include "libgenossm/model/strand_swap.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace genossm {
namespace {

void reverse_vector(Tensor& t) {
  if (t.values.size() > 0) std::reverse(t.values.begin(), t.values.end());
}

void reverse_columns(Tensor& t) {
  if (t.values.size() == 0) return;
  const Index n = t.shape[1];
  for (Index i = 0; i < t.shape[0]; ++i) {
    std::reverse(t.values.data() + i * n, t.values.data() + (i + 1) * n);
  }
}

void reverse_rows(Tensor& t) {
  if (t.values.size() == 0) return;
  const Index m = t.shape[0], n = t.shape[1];
  for (Index i = 0; i < m / 2; ++i) {
    std::swap_ranges(t.values.data() + i * n, t.values.data() + (i + 1) * n,
                     t.values.data() + (m - 1 - i) * n);
  }
}

void reverse_channels(MixerSpec& mixer) {
  std::visit(
      [](auto& m) {
        if constexpr (requires { m.in_proj; }) {
          reverse_columns(m.in_proj);
          reverse_rows(m.out_proj);
          reverse_vector(m.out_bias);
        }
      },
      mixer);
}

// Tied projections belong to the pair: they stay with whichever direction is called forward.
void exchange_projections(MixerSpec& a, MixerSpec& b) {
  std::visit(
      [&](auto& m) {
        if constexpr (requires { m.in_proj; }) {
          auto& other = std::get<std::decay_t<decltype(m)>>(b);
          std::swap(m.in_proj, other.in_proj);
          std::swap(m.in_bias, other.in_bias);
          std::swap(m.out_proj, other.out_proj);
          std::swap(m.out_bias, other.out_bias);
        }
      },
      a);
}

}  // namespace

bool unswap_strands(ModelSpec& spec) {
  for (std::size_t i = 0; i < spec.blocks.size(); i += 2) {
    BlockSpec& block = spec.blocks[i];
    reverse_vector(block.norm.weight);
    reverse_vector(block.norm.bias);
    reverse_channels(block.forward);
    if (!block.reverse) {
      // A one-way mixer of the exchanged strand would run right to left.
      fail(Fault::checkpoint, "caduceus: rcps with fused_add_norm needs bidirectional mixers");
    }
    reverse_channels(*block.reverse);
    std::swap(block.forward, *block.reverse);
    if (block.tied) exchange_projections(block.forward, *block.reverse);
  }
  spec.strands_swap = false;
  if (spec.blocks.size() % 2 == 0) return false;
  reverse_vector(spec.final_norm.weight);
  reverse_vector(spec.final_norm.bias);
  if (!spec.head.present()) {
    // Tied to the embedding, whose columns stay as they are.
    spec.head.shape = spec.embedding.shape;
    spec.head.values = Buffer<float>(spec.embedding.values.size());
    std::copy(spec.embedding.values.begin(), spec.embedding.values.end(), spec.head.values.begin());
  }
  reverse_columns(spec.head);
  return true;
}

}  // namespace genossm
