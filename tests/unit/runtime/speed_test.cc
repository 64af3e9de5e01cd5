// What the measures count, and that they can be taken; how fast things are is no matter of a test.
#include <gtest/gtest.h>

#include <cmath>

#include "libgenossm/runtime/model_speed.h"
#include "libgenossm/runtime/op_speed.h"
#include "libgenossm/runtime/random_model.h"

namespace genossm::testing {
namespace {

Model model_of(const std::string& config) {
  Device device{Cpu(1)};
  return Model::make(random_spec(Json::parse(config, "config"), 3),
                     Placement{&device, Precision::fp32});
}

const std::string kCausal = R"({"d_model": 32, "n_layer": 2, "vocab_size": 16})";
const std::string kTied = R"({"model_type": "caduceus", "d_model": 32, "n_layer": 2,
    "vocab_size": 16, "rcps": true, "complement_map": {"7": 10, "8": 9, "9": 8, "10": 7}})";
const std::string kUntied = R"({"model_type": "caduceus", "d_model": 32, "n_layer": 2,
    "vocab_size": 16, "bidirectional_weight_tie": false})";
const std::string kMlp = R"({"d_model": 32, "n_layer": 1, "vocab_size": 16, "d_intermediate": 128,
    "ssm_cfg": {"layer": "Mamba2", "d_state": 16, "headdim": 8}})";

TEST(Speed, FlopOfTheProducts) {
  // D 32, E 64, N 16, R 2.
  const double in = 32 * 128, low = 64 * (2 + 32), dt = 2 * 64, out = 64 * 32;
  EXPECT_EQ(product_flop(model_of(kCausal), 10), 2 * 10 * 2 * (in + low + dt + out));
  // Tied directions share the outer products, untied ones do not.
  EXPECT_EQ(product_flop(model_of(kTied), 10), 2 * 10 * 2 * (in + 2 * (low + dt) + out));
  EXPECT_EQ(product_flop(model_of(kUntied), 10), 2 * 10 * 2 * 2 * (in + low + dt + out));
  // Mamba-2 with 8 heads, then fc1 and fc2.
  const double second = 32 * (2 * 64 + 2 * 16 + 8) + 64 * 32;
  EXPECT_EQ(product_flop(model_of(kMlp), 1), 2 * (second + 32 * 256 + 128 * 32));
}

TEST(Speed, OfModels) {
  for (const std::string& config : {kCausal, kTied, kMlp}) {
    const Model model = model_of(config);
    for (const int threads : {1, 2}) {
      Device device{Cpu(threads)};
      SpeedRequest request;
      request.tokens = 300;
      request.sequences = 2;
      request.repetitions = 2;
      const ModelSpeed speed = measure_model(model, device, request);
      EXPECT_EQ(speed.threads, threads);
      for (const double v :
           {speed.tokens_per_s, speed.gemm_tokens_per_s, speed.ratio, speed.gemm_gflops}) {
        EXPECT_GT(v, 0);
        EXPECT_TRUE(std::isfinite(v));
      }
    }
  }
}

TEST(Speed, RefusesWhatCannotBeMeasured) {
  const Model model = model_of(kCausal);
  Device cpu{Cpu(1)}, reference{Reference{}};
  SpeedRequest request;
  EXPECT_THROW(measure_model(model, cpu, request), Error);  // no tokens
  request.tokens = 100;
  EXPECT_THROW(measure_model(model, reference, request), Error);
}

TEST(Speed, OfOps) {
  Cpu cpu(2);
  const MachineSpeed machine{100, 10};
  const std::vector<OpSpeed> all =
      measure_ops(cpu, machine, {.only = "", .tokens = 300, .repetitions = 1});
  EXPECT_GE(all.size(), measured_ops().size());
  for (const OpSpeed& speed : all) {
    EXPECT_GT(speed.seconds, 0) << speed.op;
    EXPECT_DOUBLE_EQ(speed.ratio, std::max(speed.gflops / 100, speed.gbytes_per_s / 10));
  }
  EXPECT_EQ(measure_ops(cpu, machine, {.only = "ssd", .tokens = 1, .repetitions = 1}).size(), 1u);
  EXPECT_THROW(measure_ops(cpu, machine, {.only = "conv", .tokens = 1, .repetitions = 1}), Error);
}

TEST(Speed, OfTheMachine) {
  Cpu cpu(1);
  const MachineSpeed machine = measure_machine(cpu);
  EXPECT_GT(machine.fma_gflops, 0);
  EXPECT_GT(machine.copy_gbytes_per_s, 0);
}

}  // namespace
}  // namespace genossm::testing
