// The stored cases of single ops, on every device: selective_scan, ssd, causal_conv and the norms,
// at the README's tolerance of 1e-5 of the largest value.
#include <gtest/gtest.h>

#include "kernels/causal_conv/causal_conv.h"
#include "kernels/norm/norm.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "libgenossm/base/json.h"
#include "tests/kernels/cuda_test.h"
#include "tests/support/golden.h"

namespace genossm::testing {
namespace {

constexpr double kTolerance = 1e-5;

struct Matrix {
  Index rows = 0, columns = 0;
  std::vector<float> values;
  View<float, 2> view() { return {values.data(), {rows, columns}}; }
};

Matrix zeros(Index rows, Index columns) {
  return {rows, columns, std::vector<float>(static_cast<std::size_t>(rows * columns))};
}

// [rows, columns] of the stored values from `offset` on, transposed.
Matrix turned(const float* values, Index rows, Index columns) {
  Matrix out = zeros(columns, rows);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) {
      out.values[static_cast<std::size_t>(j * rows + i)] = values[i * columns + j];
    }
  }
  return out;
}

View<const float, 1> vector_of(const GoldenFile& file, const std::string& name, Golden& keep) {
  if (!file.has(name)) return {};
  keep = file.tensor(name);
  return {keep.values.data(), {static_cast<Index>(keep.values.size())}};
}

// Only the last rows may be stored.
void expect_close(View<const float, 2> got, View<const float, 2> want, const char* what) {
  const Index skip = got.extent[0] - want.extent[0];
  ASSERT_GE(skip, 0) << what;
  EXPECT_LE(relative_error(rows(got, skip, got.extent[0]), want), kTolerance) << what;
}

// u, delta, z, y: (B,D,L); A: (D,N); B, C: (B,N,L), (B,G,N,L) or (D,N); state: (B,D,N).
void scan_case(Device& device, const GoldenFile& file, const Json& info) {
  const Golden u = file.tensor("u"), delta = file.tensor("delta"), a = file.tensor("A");
  const Golden b = file.tensor("B"), c = file.tensor("C"), y = file.tensor("y");
  const Index batches = u.shape[0], D = u.shape[1], L = u.shape[2], N = a.shape[1];
  const bool constant = b.shape.size() == 2;
  const Index G = constant ? D : b.shape.size() == 4 ? b.shape[1] : 1;
  Golden bias, skip, z, initial;
  const auto bias_view = vector_of(file, "delta_bias", bias),
             skip_view = vector_of(file, "D", skip);
  if (file.has("z")) z = file.tensor("z");
  const bool has_initial = file.has("initial_state");
  if (has_initial) initial = file.tensor("initial_state");
  Matrix A = turned(a.values.data(), D, N);
  for (Index i = 0; i < batches; ++i) {
    Matrix ut = turned(u.values.data() + i * D * L, D, L);
    Matrix dt = turned(delta.values.data() + i * D * L, D, L);
    Matrix zt;
    if (!z.values.empty()) zt = turned(z.values.data() + i * D * L, D, L);
    const auto states = [&](const Golden& g, Matrix& keep) -> View<const float, 3> {
      if (constant) return {g.values.data(), {L, D, N}, {0, N, 1}};
      keep = turned(g.values.data() + i * G * N * L, G * N, L);
      return {keep.values.data(), {L, G, N}, {G * N, N, 1}};
    };
    Matrix bt, ct;
    const View<const float, 3> B = states(b, bt), C = states(c, ct);
    Matrix h = has_initial ? turned(initial.values.data() + i * D * N, D, N) : zeros(N, D);
    Matrix out = zeros(L, D);
    launch_anywhere(device, SelectiveScan{.u = ut.view(),
                                 .dt = dt.view(),
                                 .dt_bias = bias_view,
                                 .softplus = info.flag("delta_softplus", true),
                                 .A = A.view(),
                                 .B = B,
                                 .C = C,
                                 .skip = skip_view,
                                 .z = zt.values.empty() ? View<const float, 2>() : zt.view(),
                                 .h = h.view(),
                                 .y = out.view()});
    const Index kept = y.shape[2];
    Matrix want = turned(y.values.data() + i * D * kept, D, kept);
    expect_close(out.view(), want.view(), "y");
    const Golden last = file.tensor("last_state");
    Matrix state = turned(last.values.data() + i * D * N, D, N);
    expect_close(h.view(), state.view(), "last_state");
  }
}

double limit_of(const Json& limits, Index i) {
  const Json value = limits.at(i);
  return value.is_text() ? std::numeric_limits<double>::infinity() : value.as_number();
}

// x, z, y: (B,L,H,P); dt: (B,L,H); A: (H); B, C: (B,L,G,N); state: (B,H,P,N).
void ssd_case(Device& device, const GoldenFile& file, const Json& info) {
  const Golden x = file.tensor("x"), dt = file.tensor("dt"), a = file.tensor("A");
  const Golden b = file.tensor("B"), c = file.tensor("C"), y = file.tensor("y");
  const Index batches = x.shape[0], L = x.shape[1], H = x.shape[2], P = x.shape[3];
  const Index G = b.shape[2], N = b.shape[3];
  Golden bias, z, initial;
  const auto bias_view = vector_of(file, "dt_bias", bias);
  std::vector<float> skip;
  if (file.has("D")) {
    const Golden d = file.tensor("D");
    const bool per_channel = static_cast<Index>(d.values.size()) == H * P;
    for (Index i = 0; i < H * P; ++i) {
      skip.push_back(d.values[static_cast<std::size_t>(per_channel ? i : i / P)]);
    }
  }
  if (file.has("z")) z = file.tensor("z");
  const bool has_initial = file.has("initial_state");
  if (has_initial) initial = file.tensor("initial_state");
  float low = 0, high = std::numeric_limits<float>::infinity();
  if (info.has("dt_limit")) {
    low = static_cast<float>(limit_of(info.array("dt_limit"), 0));
    high = static_cast<float>(limit_of(info.array("dt_limit"), 1));
  }
  const auto head_states = [&](const Golden& g, Index batch) {
    std::vector<float> out(static_cast<std::size_t>(H * N * P));
    for (Index h = 0; h < H; ++h) {
      Matrix one = turned(g.values.data() + (batch * H + h) * P * N, P, N);
      std::copy(one.values.begin(), one.values.end(), out.begin() + h * N * P);
    }
    return out;
  };
  for (Index i = 0; i < batches; ++i) {
    std::vector<float> h = has_initial ? head_states(initial, i)
                                       : std::vector<float>(static_cast<std::size_t>(H * N * P));
    Matrix out = zeros(L, H * P);
    launch_anywhere(device, Ssd{.x = {x.values.data() + i * L * H * P, {L, H * P}},
                       .dt = {dt.values.data() + i * L * H, {L, H}},
                       .dt_bias = bias_view,
                       .softplus = info.flag("dt_softplus", true),
                       .dt_min = low,
                       .dt_max = high,
                       .A = {a.values.data(), {H}},
                       .B = {b.values.data() + i * L * G * N, {L, G, N}},
                       .C = {c.values.data() + i * L * G * N, {L, G, N}},
                       .skip = skip.empty() ? View<const float, 1>()
                                            : View<const float, 1>(skip.data(), {H * P}),
                       .z = z.values.empty()
                                ? View<const float, 2>()
                                : View<const float, 2>(z.values.data() + i * L * H * P, {L, H * P}),
                       .h = {h.data(), {H, N, P}},
                       .y = out.view()});
    const Index kept = y.shape[1];
    expect_close(out.view(), {y.values.data() + i * kept * H * P, {kept, H * P}}, "y");
    const std::vector<float> want = head_states(file.tensor("final_state"), i);
    expect_close({h.data(), {H, N * P}}, {want.data(), {H, N * P}}, "final_state");
  }
}

// x, y: (B,D,L); weight: (D,W); state: (B,D,W-1).
void conv_case(Device& device, const GoldenFile& file, const Json& info) {
  const Golden x = file.tensor("x"), w = file.tensor("weight"), y = file.tensor("y");
  const Index batches = x.shape[0], D = x.shape[1], L = x.shape[2], W = w.shape[1];
  Golden bias, initial;
  const auto bias_view = vector_of(file, "bias", bias);
  const bool has_initial = file.has("initial_state");
  if (has_initial) initial = file.tensor("initial_state");
  Matrix taps = turned(w.values.data(), D, W);
  for (Index i = 0; i < batches; ++i) {
    Matrix xt = turned(x.values.data() + i * D * L, D, L);
    Matrix tail =
        has_initial ? turned(initial.values.data() + i * D * (W - 1), D, W - 1) : zeros(W - 1, D);
    Matrix out = zeros(L, D);
    launch_anywhere(device, CausalConv{.x = xt.view(),
                              .w = taps.view(),
                              .bias = bias_view,
                              .silu = info.text("activation", "") == "silu",
                              .tail = tail.view(),
                              .y = out.view()});
    Matrix want = turned(y.values.data() + i * D * L, D, L);
    expect_close(out.view(), want.view(), "y");
    if (file.has("final_state")) {
      const Golden last = file.tensor("final_state");
      Matrix state = turned(last.values.data() + i * D * (W - 1), D, W - 1);
      expect_close(tail.view(), state.view(), "final_state");
    }
  }
}

void norm_case(Device& device, const GoldenFile& file) {
  const Golden x = file.tensor("x"), z = file.tensor("z"), residual = file.tensor("residual");
  Golden weight, bias;
  const auto w = vector_of(file, "weight", weight), b = vector_of(file, "bias", bias);
  const Index D = x.shape.back(), L = static_cast<Index>(x.values.size()) / D;
  const View<const float, 2> xs(x.values.data(), {L, D}), zs(z.values.data(), {L, D});
  const auto want = [&](const std::string& name) { return file.tensor(name); };
  const auto compare = [&](Matrix& got, const std::string& name) {
    const Golden g = want(name);
    expect_close(got.view(), {g.values.data(), {L, D}}, name.c_str());
  };
  Matrix y = zeros(L, D);
  launch_anywhere(device, Norm{.x = xs, .weight = w, .y = y.view()});
  compare(y, "rms");
  Matrix r{L, D, residual.values};
  launch_anywhere(device, Norm{.x = xs, .residual = r.view(), .weight = w, .y = y.view()});
  compare(y, "rms_add");
  compare(r, "sum");
  Matrix r2{L, D, residual.values};
  launch_anywhere(device, Norm{.x = xs,
                      .residual = r2.view(),
                      .weight = w,
                      .bias = b,
                      .kind = Norm::Kind::layer,
                      .y = y.view()});
  compare(y, "ln_add");
  for (const Index group : {Index{24}, Index{8}}) {
    for (const bool first : {false, true}) {
      launch_anywhere(device, Norm{.x = xs,
                          .weight = w,
                          .z = zs,
                          .gate = first ? Norm::Gate::after : Norm::Gate::before,
                          .group = group,
                          .y = y.view()});
      compare(y,
              "gated.norm_before_gate" + std::to_string(first) + ".group" + std::to_string(group));
    }
  }
}

class KernelsGolden : public ::testing::TestWithParam<std::string> {};

void check_case(const std::string& name, Device& device) {
  const auto folder = golden_folder() / name;
  const GoldenFile file(folder / "case.safetensors");
  const Json info = Json::read(folder / "case.json");
  const std::string op = info.text("op");
  if (op == "selective_scan") {
    scan_case(device, file, info);
  } else if (op == "ssd") {
    ssd_case(device, file, info);
  } else if (op == "causal_conv1d") {
    conv_case(device, file, info);
  } else if (op == "norms") {
    norm_case(device, file);
  } else {
    FAIL() << "unknown op " << op;
  }
}

TEST_P(KernelsGolden, Cpu) {
  Device device{Cpu(1)};
  check_case(GetParam(), device);
}
TEST_P(KernelsGolden, ThreeThreads) {
  Device device{Cpu(3)};
  check_case(GetParam(), device);
}
TEST_P(KernelsGolden, Cuda) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  check_case(GetParam(), *cuda);
}
TEST_P(KernelsGolden, Reference) {
  Device device{Reference{}};
  check_case(GetParam(), device);
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, KernelsGolden, ::testing::ValuesIn(cases_of("kernels")), test_name);

TEST(KernelsGoldenList, IsComplete) { EXPECT_EQ(cases_of("kernels").size(), 21u); }

}  // namespace
}  // namespace genossm::testing
