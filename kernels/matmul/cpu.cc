// oneDNN's packed ("brgemm") routines want dense rows; with other strides they fall back to a plain
// loop thousands of times slower. So rows that are not dense are copied through a dense tile.
#include <omp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <dnnl.hpp>
#include <string>
#include <unordered_map>

#include "kernels/matmul/packed.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul/cpu.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace genossm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The upper 16 bits of each lane, after f32_to_bf16's rounding, in the lower 16 bits.
template <class D>
HWY_INLINE hn::VFromD<D> bf16_bits(D d, hn::VFromD<D> bits) {
  const auto upper = hn::ShiftRight<16>(bits);
  const auto even = hn::And(upper, hn::Set(d, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(even, hn::Set(d, 0x7fffu))));
  const auto nan = hn::Gt(hn::And(bits, hn::Set(d, 0x7fffffffu)), hn::Set(d, 0x7f800000u));
  return hn::IfThenElse(nan, hn::Or(upper, hn::Set(d, 0x40u)), rounded);
}

void round_to_bf16(const float* HWY_RESTRICT in, Index n, std::uint16_t* HWY_RESTRICT out) {
  const hn::ScalableTag<std::uint32_t> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<std::uint16_t, decltype(d)> half;
  const hn::Rebind<float, decltype(d)> df;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  Index i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = bf16_bits(d, hn::BitCast(d, hn::LoadU(df, in + i)));
    hn::StoreU(hn::DemoteTo(half, hn::BitCast(di, bits)), half, out + i);
  }
  for (; i < n; ++i) out[i] = f32_to_bf16(in[i]);
}

// The same rounding, kept as float.
void round_through_bf16(const float* HWY_RESTRICT in, Index n, float* HWY_RESTRICT out) {
  const hn::ScalableTag<std::uint32_t> d;
  const hn::Rebind<float, decltype(d)> df;
  const auto lanes = static_cast<Index>(hn::Lanes(d));
  Index i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = bf16_bits(d, hn::BitCast(d, hn::LoadU(df, in + i)));
    hn::StoreU(hn::BitCast(df, hn::ShiftLeft<16>(bits)), df, out + i);
  }
  for (; i < n; ++i) out[i] = bf16_to_f32(f32_to_bf16(in[i]));
}

}  // namespace HWY_NAMESPACE
}  // namespace genossm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genossm {
namespace {

HWY_EXPORT(round_to_bf16);
HWY_EXPORT(round_through_bf16);

using Desc = dnnl::memory::desc;
using Type = dnnl::memory::data_type;

// oneDNN is built with OpenMP; inside this scope it stays on the calling thread. The setting
// belongs to the calling thread alone and is put back.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// The depth of one AMX tile of bf16: other depths make oneDNN copy x or leave AMX.
constexpr Index kBf16Depth = 32;

}  // namespace

// Whether oneDNN keeps f32 weights packed from call to call here.
bool library_packs() {
  const int wide = static_cast<int>(dnnl::cpu_isa::avx512_core);
  const bool library = (static_cast<int>(dnnl::get_effective_cpu_isa()) & wide) == wide;
  // Tests choose lower instruction sets through Highway.
  return library && (hwy::SupportedTargets() & (HWY_AVX3 | HWY_AVX3_DL)) != 0;
}

struct CpuMatmul {
  // y = or +=, without or with a bias.
  struct Routine {
    dnnl::matmul primitive;
    Desc scratchpad;
  };

  CpuMatmul(const WeightRows& w, Precision precision, WeightForm form, const Fp8Scales& scales);
  void make_panels(const WeightRows& w);
  void make_routine(bool accumulate, bool with_bias);
  void pack(const WeightRows& w);
  void verify();

  const Routine& routine(bool accumulate, bool with_bias) const {
    return routines[(accumulate ? 2u : 0u) + (with_bias ? 1u : 0u)];
  }
  bool rounds() const { return precision == Precision::bf16; }

  Index N, K;
  Precision precision;
  WeightForm form;
  Fp8Scales scales;
  bool native;  // x and w are stored as bf16; otherwise as float, rounded where asked for
  Index depth;  // K, or the next multiple of kBf16Depth
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  Desc x, y, bias;
  std::array<Routine, 4> routines;
  Buffer<std::byte> weights;
  Desc weights_desc;
  bool independent = false;
  std::unique_ptr<const Panels> panels;  // instead of all of oneDNN's
};

namespace {

[[noreturn]] void fail_with(const dnnl::error& error) {
  fail(error.status == dnnl_out_of_memory ? Fault::memory : Fault::internal,
       std::string("matmul: oneDNN answered '") + error.what() + "', want a result");
}

// One thread's memory objects for any number of tiles.
class Runner {
 public:
  Runner(const CpuMatmul& packed, bool accumulate, View<const float, 1> bias)
      : packed_(packed),
        accumulate_(accumulate),
        primitive_(packed.routine(accumulate, !bias.empty()).primitive),
        stream_(packed.engine),
        scratchpad_(
            static_cast<Index>(packed.routine(accumulate, !bias.empty()).scratchpad.get_size())),
        x_(packed.x, packed.engine, nullptr),
        y_(packed.y, packed.engine, nullptr) {
    const auto& routine = packed.routine(accumulate, !bias.empty());
    arguments_.reserve(5);
    arguments_.emplace(DNNL_ARG_SRC, x_);
    arguments_.emplace(DNNL_ARG_DST, y_);
    arguments_.emplace(DNNL_ARG_WEIGHTS,
                       dnnl::memory(packed.weights_desc, packed.engine, packed.weights.data()));
    arguments_.emplace(DNNL_ARG_SCRATCHPAD,
                       dnnl::memory(routine.scratchpad, packed.engine, scratchpad_.data()));
    if (!bias.empty()) {
      arguments_.emplace(DNNL_ARG_BIAS,
                         dnnl::memory(packed.bias, packed.engine, const_cast<float*>(bias.data)));
    }
  }

  // One to kTile rows.
  void tile(View<const float, 2> x, View<float, 2> y) {
    const Index count = x.extent[0], N = packed_.N;
    const bool dense = count == kTile && y.stride[0] == N;
    if (!dense && y_tile_.size() == 0) y_tile_ = Buffer<float>(kTile * N);
    if (!dense && accumulate_) {
      for (Index t = 0; t < count; ++t) std::copy_n(y.row(t), N, y_tile_.data() + t * N);
      std::fill(y_tile_.data() + count * N, y_tile_.end(), 0.0f);
    }
    x_.set_data_handle(source(x));
    y_.set_data_handle(dense ? y.data : y_tile_.data());
    primitive_.execute(stream_, arguments_);
    if (dense) return;
    for (Index t = 0; t < count; ++t) std::copy_n(y_tile_.data() + t * N, N, y.row(t));
  }

 private:
  // kTile dense rows in the form that the routine reads.
  void* source(View<const float, 2> x) {
    const Index count = x.extent[0], K = packed_.K, depth = packed_.depth;
    if (packed_.native) {
      if (halves_.size() == 0) {
        halves_ = Buffer<std::uint16_t>(kTile * depth);
        std::fill(halves_.begin(), halves_.end(), std::uint16_t{0});
      }
      const auto round = HWY_DYNAMIC_DISPATCH(round_to_bf16);
      for (Index t = 0; t < count; ++t) round(x.row(t), K, halves_.data() + t * depth);
      std::fill(halves_.data() + count * depth, halves_.end(), std::uint16_t{0});
      return halves_.data();
    }
    // oneDNN takes inputs by the same kind of handle as outputs and does not write to them.
    if (count == kTile && x.stride[0] == K && !packed_.rounds()) return const_cast<float*>(x.data);
    if (x_tile_.size() == 0) x_tile_ = Buffer<float>(kTile * K);
    const auto round = HWY_DYNAMIC_DISPATCH(round_through_bf16);
    for (Index t = 0; t < count; ++t) {
      float* to = x_tile_.data() + t * K;
      packed_.rounds() ? round(x.row(t), K, to) : void(std::copy_n(x.row(t), K, to));
    }
    std::fill(x_tile_.data() + count * K, x_tile_.end(), 0.0f);
    return x_tile_.data();
  }

  const CpuMatmul& packed_;
  bool accumulate_;
  const dnnl::matmul& primitive_;
  OneThread one_thread_;
  dnnl::stream stream_;
  Buffer<std::byte> scratchpad_;
  dnnl::memory x_, y_;
  std::unordered_map<int, dnnl::memory> arguments_;
  Buffer<float> x_tile_, y_tile_;
  Buffer<std::uint16_t> halves_;
};

}  // namespace

CpuMatmul::CpuMatmul(const WeightRows& w, Precision wanted, WeightForm held, const Fp8Scales& fp8)
    : N(w.outputs()),
      K(w.inputs()),
      precision(wanted),
      form(held),
      scales(fp8),
      native(rounds() && cpu_has_bf16() && form != WeightForm::e4m3),
      depth(native ? (K + kBf16Depth - 1) / kBf16Depth * kBf16Depth : K),
      x({kTile, depth}, native ? Type::bf16 : Type::f32, dnnl::memory::format_tag::ab),
      y({kTile, N}, Type::f32, dnnl::memory::format_tag::ab),
      bias({1, N}, Type::f32, dnnl::memory::format_tag::ab) {
  // oneDNN has no product of float32 inputs with narrower weights.
  if (!library_packs() || form == WeightForm::e4m3 || (form == WeightForm::bf16 && !native)) {
    make_panels(w);
    return;
  }
  const OneThread one_thread;
  weights_desc = Desc({depth, N}, x.data_type(), dnnl::memory::format_tag::any);
  for (const bool accumulate : {false, true}) {
    for (const bool with_bias : {false, true}) make_routine(accumulate, with_bias);
  }
  pack(w);
  verify();
}

void CpuMatmul::make_panels(const WeightRows& w) {
  independent = true;
  if (!rounds() || form != WeightForm::by_precision) {
    panels = std::make_unique<const Panels>(w, form, scales);
    return;
  }
  Buffer<float> rounded(N * K);
  const auto round = HWY_DYNAMIC_DISPATCH(round_through_bf16);
  for (Index n = 0; n < N; ++n) round(w.row(n), K, rounded.data() + n * K);
  panels = std::make_unique<const Panels>(WeightRows(rounded.matrix(N, K)), form, scales);
}

// The first routine decides how the weights lie, the others follow it.
void CpuMatmul::make_routine(bool accumulate, bool with_bias) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::desc wanted = with_bias ? dnnl::matmul::desc(x, weights_desc, bias, y)
                                              : dnnl::matmul::desc(x, weights_desc, y);
  const dnnl::matmul::primitive_desc chosen(wanted, attributes, engine);
  weights_desc = chosen.weights_desc();
  routines[(accumulate ? 2u : 0u) + (with_bias ? 1u : 0u)] = {dnnl::matmul(chosen),
                                                              chosen.scratchpad_desc()};
}

void CpuMatmul::pack(const WeightRows& w) {
  weights = Buffer<std::byte>(static_cast<Index>(weights_desc.get_size()));
  const Index size = size_of(native ? DType::bf16 : DType::f32);
  Buffer<std::byte> dense(N * depth * size);
  std::fill(dense.begin(), dense.end(), std::byte{0});
  const auto to_bf16 = HWY_DYNAMIC_DISPATCH(round_to_bf16);
  const auto through_bf16 = HWY_DYNAMIC_DISPATCH(round_through_bf16);
  for (Index n = 0; n < N; ++n) {
    void* row = dense.data() + n * depth * size;
    if (native) {
      to_bf16(w.row(n), K, static_cast<std::uint16_t*>(row));
    } else if (rounds()) {
      through_bf16(w.row(n), K, static_cast<float*>(row));
    } else {
      std::copy_n(w.row(n), K, static_cast<float*>(row));
    }
  }
  dnnl::memory from({{depth, N}, x.data_type(), dnnl::memory::format_tag::ba}, engine,
                    dense.data());
  dnnl::memory to(weights_desc, engine, weights.data());
  dnnl::stream stream(engine);
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

// The law of the header on these routines: equal rows at every other position of a tile, between
// rows that all differ, must give the same bits. The plain routine is tried at all positions, the
// others, which differ from it in their last step alone, at half of them.
void CpuMatmul::verify() {
  std::uint32_t seed = 1;
  const auto fill = [&](float* values, Index n) {
    for (Index i = 0; i < n; ++i) {
      seed = seed * 1664525u + 1013904223u;
      values[i] = static_cast<float>(seed >> 8) * 0x1p-23f - 1.0f;
    }
  };
  Buffer<float> probe(K), start(N), offset(N), first(N);
  Buffer<float> in(kTile * K), out(kTile * N);
  fill(probe.data(), K);
  fill(start.data(), N);
  fill(offset.data(), N);
  const auto try_at = [&](Index parity, bool accumulate, bool with_bias) {
    fill(in.data(), in.size());
    for (Index t = parity; t < kTile; t += 2) std::copy_n(probe.data(), K, in.data() + t * K);
    for (Index t = 0; t < kTile; ++t) std::copy_n(start.data(), N, out.data() + t * N);
    Runner(*this, accumulate, with_bias ? offset.view() : View<const float, 1>())
        .tile(in.matrix(kTile, K), out.matrix(kTile, N));
  };
  const auto same = [&](Index parity) {
    bool all = true;
    for (Index t = parity; t < kTile; t += 2) {
      all &= std::memcmp(out.data() + t * N, first.data(), static_cast<std::size_t>(N) * 4) == 0;
    }
    return all;
  };
  try_at(0, false, false);
  std::copy_n(out.data(), N, first.data());
  independent = same(0);
  try_at(1, false, false);
  independent &= same(1);
  for (const auto& [accumulate, with_bias] :
       {std::pair{false, true}, {true, false}, {true, true}}) {
    try_at(1, accumulate, with_bias);
    std::copy_n(out.data() + N, N, first.data());
    independent &= same(1);
  }
}

std::shared_ptr<const CpuMatmul> pack_for_cpu(const WeightRows& w, Precision precision,
                                              WeightForm form, const Fp8Scales& scales) {
  try {
    return std::make_shared<const CpuMatmul>(w, precision, form, scales);
  } catch (const dnnl::error& error) {
    fail_with(error);
  }
}

Index bytes_of(const CpuMatmul& packed) {
  return packed.panels ? packed.panels->bytes() : packed.weights.size();
}
bool rows_independent(const CpuMatmul& packed) { return packed.independent; }

bool cpu_has_bf16() {
  const int bf16 = static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & bf16) == bf16;
}

// Rows [begin, end) by panels, x rounded where asked for; e4m3 is narrower than bf16 and enough.
void run_panels(const CpuMatmul& packed, Matmul op, Index begin, Index end) {
  op.x = rows(op.x, begin, end);
  op.y = rows(op.y, begin, end);
  const bool fp8 = packed.form == WeightForm::e4m3;
  if (!packed.rounds() && !fp8) {
    packed.panels->run(op);
    return;
  }
  const auto to_bf16 = HWY_DYNAMIC_DISPATCH(round_through_bf16);
  const auto round = [&](const float* from, Index n, float* to) {
    if (!fp8) return to_bf16(from, n, to);
    for (Index i = 0; i < n; ++i) to[i] = round_to_e4m3(from[i] * packed.scales.input);
  };
  const Buffer<float> x(kTile * packed.K);
  for (Index at = 0; at < end - begin; at += kTile) {
    Matmul tile = op;
    const Index count = std::min(kTile, end - begin - at);
    for (Index t = 0; t < count; ++t) round(op.x.row(at + t), packed.K, x.data() + t * packed.K);
    tile.x = x.matrix(count, packed.K);
    tile.y = rows(op.y, at, at + count);
    packed.panels->run(tile);
  }
}

void run(Cpu& cpu, const Matmul& op) {
  const CpuMatmul* packed = op.weight->impl().cpu.get();
  require(packed != nullptr, Fault::internal, "matmul: weight is packed for Reference, want Cpu");
  const Index L = op.x.extent[0];
  const Index tiles = (L + kTile - 1) / kTile;
  // A few ranges a thread, so that one late thread does not hold up the rest.
  const Index ranges =
      cpu.threads() == 1 ? std::min<Index>(tiles, 1) : std::min<Index>(tiles, 4 * cpu.threads());
  try {
    cpu.for_each(ranges, [&](Index range) {
      if (packed->panels) {
        const Index begin = range * tiles / ranges * kTile;
        run_panels(*packed, op, begin, std::min(L, (range + 1) * tiles / ranges * kTile));
        return;
      }
      Runner runner(*packed, op.accumulate, op.bias);
      for (Index i = range * tiles / ranges; i < (range + 1) * tiles / ranges; ++i) {
        const Index begin = i * kTile, end = std::min(L, begin + kTile);
        runner.tile(rows(op.x, begin, end), rows(op.y, begin, end));
      }
    });
  } catch (const dnnl::error& error) {
    fail_with(error);
  }
}

}  // namespace genossm
#endif  // HWY_ONCE
