// HyenaDNA against the authors' code in double precision (README.md of tests/golden/hyenadna): the
// residual stream after every layer, the last hidden state, the logits and the scores of the next
// token; the implicit filter and the convolution alone; the published tokenizers.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>

#include "kernels/hyena_filter/hyena_filter.h"
#include "kernels/long_conv/long_conv.h"
#include "libgenossm/base/json.h"
#include "libgenossm/runtime/random_model.h"
#include "tests/golden/causal_case.h"
#include "tests/kernels/cuda_test.h"

namespace genossm::testing {
namespace {

std::vector<std::string> model_cases() {
  std::vector<std::string> out = cases_of("hyenadna");
  std::erase_if(out, [](const std::string& name) {
    return name == "hyenadna/kernels" || name == "hyenadna/tokenizer";
  });
  return out;
}

class HyenaGolden : public ::testing::TestWithParam<std::string> {};

void check_case(const std::string& name, Device& device) {
  const bool wide = name.ends_with("long_hf") || name.ends_with("order4_ckpt");
  check_causal_case(name, device, wide ? 3e-4 : 1e-4, 1e-4, false);
}

TEST_P(HyenaGolden, Cpu) {
  Device device{Cpu(1)};
  check_case(GetParam(), device);
}
TEST_P(HyenaGolden, ThreeThreads) {
  Device device{Cpu(3)};
  check_case(GetParam(), device);
}
TEST_P(HyenaGolden, Reference) {
  Device device{Reference{}};
  check_case(GetParam(), device);
}
TEST_P(HyenaGolden, Cuda) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  check_case(GetParam(), *cuda);
}

// Logits with products in bf16; nothing is published for these. On the Cpu as a measure.
double error_in_bf16(const std::string& name, Device& device) {
  const OpenedModel model = open_model({model_of(name), ""}, device, Precision::bf16);
  const GoldenFile expected(golden_folder() / name / "expected.safetensors");
  const std::vector<std::int32_t> ids = ids_of(expected);
  const auto L = static_cast<Index>(ids.size());
  const Golden want = expected.tensor("logits");
  const Index kept = want.matrix().extent[0];
  const std::vector<float> got = rows_of(model, device, Features{.logits = true}, ids, 1024);
  const View<const float, 2> all(got.data(), {L, model.model.card().vocab});
  return relative_error(rows(all, L - kept, L), want.matrix());
}
TEST_P(HyenaGolden, CudaInBf16) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  Device cpu{Cpu(1)};
  const double error = error_in_bf16(GetParam(), *cuda), there = error_in_bf16(GetParam(), cpu);
  std::printf("%s in bf16: error %.2e, on the Cpu %.2e\n", GetParam().c_str(), error, there);
  // What bf16 does to these models of few channels is much the same on both.
  EXPECT_LE(error, 2 * there);
  EXPECT_LE(error, 8e-2);
}

// A model of a published shape, beyond what is stored: long sequences of several lengths.
TEST(HyenaCuda, AgreesWithTheCpu) {
  auto cuda = open_cuda();
  if (!cuda) GTEST_SKIP() << kNoGpu;
  const Json config = Json::parse(
      R"({"model_type": "hyenadna", "d_model": 256, "d_inner": 1024, "n_layer": 2, "vocab_size": 12,
          "emb_dim": 5, "filter_order": 64, "max_seq_len": 160002})",
      "config");
  Device cpu{Cpu(2)};
  OpenedModel here, there;
  here.model = Model::make(random_spec(config, 5), {&cpu, Precision::fp32});
  there.model = Model::make(random_spec(config, 5), {&*cuda, Precision::fp32});
  for (const Index L : {1, 2049, 20'011}) {
    std::vector<std::int32_t> ids;
    for (Index i = 0; i < L; ++i) ids.push_back(static_cast<std::int32_t>(7 + i * i * 31 / 7 % 4));
    const Features features{.logits = true};
    const std::vector<float> want = rows_of(here, cpu, features, ids, 1024);
    const std::vector<float> got = rows_of(there, *cuda, features, ids, 1024);
    ASSERT_EQ(got.size(), want.size());
    const std::array<Index, 2> shape{L, here.model.card().vocab};
    const double error = relative_error({got.data(), shape}, {want.data(), shape});
    std::printf("%td tokens: error %.2e\n", static_cast<std::ptrdiff_t>(L), error);
    EXPECT_LE(error, 1e-4) << L;
  }
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, HyenaGolden, ::testing::ValuesIn(model_cases()), test_name);

TEST(HyenaGoldenList, IsComplete) { EXPECT_EQ(model_cases().size(), 8u); }

std::vector<float> turned(View<const float, 2> m) {
  std::vector<float> out;
  for (Index j = 0; j < m.extent[1]; ++j) {
    for (Index i = 0; i < m.extent[0]; ++i) out.push_back(m.row(i)[j]);
  }
  return out;
}

// On the definition, on the Cpu and, where there is one, on a GPU.
template <class Check>
void on_devices(Check check) {
  for (const bool cpu : {false, true}) {
    SCOPED_TRACE(cpu ? "Cpu" : "Reference");
    Device device = cpu ? Device{Cpu(1)} : Device{Reference{}};
    check(device);
  }
  if (auto cuda = open_cuda()) {
    SCOPED_TRACE("Cuda");
    check(*cuda);
  }
}

TEST(HyenaKernelsGolden, Convolution) {
  const GoldenFile file(golden_folder() / "hyenadna/kernels/expected.safetensors");
  for (int i = 0; i < 7; ++i) {
    const std::string at = "fftconv" + std::to_string(i);
    SCOPED_TRACE(at);
    const Golden u = file.tensor(at + ".u"), k = file.tensor(at + ".k"),
                 skip = file.tensor(at + ".D");
    const Golden want = file.tensor(at + ".y");
    const Index D = u.shape[0], L = u.shape[1];
    const std::vector<float> ut = turned(u.matrix()), kt = turned(k.matrix());
    const std::vector<float> wt = turned(want.matrix());
    on_devices([&](Device& device) {
      std::vector<float> y(static_cast<std::size_t>(L * D));
      const Buffer<float> work(long_conv_work(L, 1));
      launch_anywhere(device, LongConv{.u = {ut.data(), {L, D}},
                                       .h = {kt.data(), {L, D}},
                                       .skip = {skip.values.data(), {D}},
                                       .y = {y.data(), {L, D}},
                                       .work = work.view()});
      EXPECT_LE(relative_error({y.data(), {L, D}}, {wt.data(), {L, D}}),
                2e-6 * (1 + std::log2(static_cast<double>(L))));
    });
  }
}

TEST(HyenaKernelsGolden, Filter) {
  const GoldenFile file(golden_folder() / "hyenadna/kernels/expected.safetensors");
  for (int i = 0; i < 4; ++i) {
    const std::string at = "filter" + std::to_string(i);
    SCOPED_TRACE(at);
    const auto mlp = [&](int n, const char* what) {
      return file.tensor(at + ".implicit_filter." + std::to_string(n) + what);
    };
    const Golden z = file.tensor(at + ".pos_emb.z"), time = file.tensor(at + ".pos_emb.t");
    const Golden deltas = file.tensor(at + ".modulation.deltas"), want = file.tensor(at + ".out_k");
    const Golden w0 = mlp(0, ".weight"), b0 = mlp(0, ".bias"), freq = mlp(1, ".freq");
    const Golden last = mlp(6, ".weight");
    const Index E = w0.shape[1], H = w0.shape[0], D = want.shape[0], L = want.shape[1];
    const std::vector<float> first = turned(w0.matrix()), out = turned(last.matrix());
    std::vector<float> inner, bias;
    for (const int n : {2, 4}) {
      const std::vector<float> w = turned(mlp(n, ".weight").matrix());
      inner.insert(inner.end(), w.begin(), w.end());
      const Golden b = mlp(n, ".bias");
      bias.insert(bias.end(), b.values.begin(), b.values.end());
    }
    const std::vector<float> wt = turned(want.matrix());
    on_devices([&](Device& device) {
      std::vector<float> a(static_cast<std::size_t>(L * H)), h(static_cast<std::size_t>(L * D));
      launch_anywhere(device, HyenaTrunk{.z = {z.values.data(), {L, E}},
                                         .w0 = {first.data(), {E, H}},
                                         .b0 = {b0.values.data(), {H}},
                                         .w = {inner.data(), {2, H, H}},
                                         .b = {bias.data(), {2, H}},
                                         .freq = {freq.values.data(), {H}},
                                         .a = {a.data(), {L, H}}});
      launch_anywhere(device, HyenaTaps{.a = {a.data(), {L, H}},
                                        .w = {out.data(), {H, D}},
                                        .time = {time.values.data(), {L}},
                                        .deltas = {deltas.values.data(), {D}},
                                        .h = {h.data(), {L, D}}});
      EXPECT_LE(relative_error({h.data(), {L, D}}, {wt.data(), {L, D}}), 2e-5);
    });
  }
}

TEST(HyenaTokenizerGolden, ReadsAsPublished) {
  const Json vectors = Json::read(golden_folder() / "hyenadna/tokenizer/vectors.json");
  const Json cases = vectors.array("cases");
  ASSERT_EQ(cases.size(), 5);
  for (const bool standalone : {false, true}) {
    const Tokenizer tokenizer = Tokenizer::hyenadna(standalone);
    for (Index i = 0; i < cases.size(); ++i) {
      const std::string text = cases.at(i).text("text");
      std::vector<std::int32_t> got = tokenizer.prefix();
      std::vector<std::int32_t> bases(text.size());
      tokenizer.encode(text, bases);
      got.insert(got.end(), bases.begin(), bases.end());
      got.insert(got.end(), tokenizer.suffix().begin(), tokenizer.suffix().end());
      const Json want =
          cases.at(i).array(standalone ? "standalone_default_call" : "hf_default_call");
      ASSERT_EQ(static_cast<Index>(got.size()), want.size()) << text;
      for (Index t = 0; t < want.size(); ++t) {
        EXPECT_EQ(got[static_cast<std::size_t>(t)], want.at(t).as_integer()) << text << " " << t;
      }
    }
  }
}

}  // namespace
}  // namespace genossm::testing
