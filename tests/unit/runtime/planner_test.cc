#include "libgenossm/runtime/planner.h"

#include <gtest/gtest.h>

namespace genossm::testing {
namespace {

Card card(bool two_way) {
  Card c;
  c.d_model = 256;
  c.vocab = 16;
  c.layers = 16;
  c.two_way = two_way;
  c.weight_bytes = 30 << 20;
  c.state_floats = two_way ? 0 : 16 * 512 * 19;
  c.kept_columns = two_way ? 1536 : 0;
  c.slab_columns = 4000;
  return c;
}

PlanRequest request(Index window, Index memory = 0) {
  PlanRequest r;
  r.window = window;
  r.memory = memory;
  r.threads = 4;
  r.columns = 256;
  return r;
}

TEST(Planner, OneWayModelsNeedTheSameMemoryForAnyLength) {
  const Plan plan = make_plan(card(false), request(1'000));
  EXPECT_FALSE(plan.layer_major);
  EXPECT_EQ(make_plan(card(false), request(250'000'000)).peak_bytes, plan.peak_bytes);
}

TEST(Planner, TwoWayModelsHoldTheWindow) {
  const Plan small = make_plan(card(true), request(8'192));
  const Plan large = make_plan(card(true), request(131'072));
  EXPECT_TRUE(large.layer_major);
  EXPECT_GT(large.peak_bytes, small.peak_bytes);
  EXPECT_GE(large.lane_bytes, 131'072 * 256 * 4);
}

TEST(Planner, LessMemoryMeansFewerLanesThenSmallerChunks) {
  const Plan free = make_plan(card(false), request(0));
  EXPECT_EQ(free.lanes, 4);
  const Plan tight = make_plan(card(false), request(0, free.weight_bytes + free.lane_bytes));
  EXPECT_EQ(tight.lanes, 1);
  EXPECT_EQ(tight.chunk, free.chunk);
  const Plan tighter =
      make_plan(card(false), request(0, free.weight_bytes + free.lane_bytes * 3 / 4));
  EXPECT_LT(tighter.chunk, free.chunk);
  EXPECT_LE(tighter.peak_bytes, free.weight_bytes + free.lane_bytes * 3 / 4);
  EXPECT_EQ(tighter.chunk % kTile, 0);
}

TEST(Planner, WhatCannotFitIsRefusedWithNumbers) {
  try {
    make_plan(card(true), request(1'000'000, Index{1} << 30));
    FAIL() << "a million tokens in 1 GiB";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::memory);
    const std::string said = error.what();
    EXPECT_NE(said.find("1000000"), std::string::npos) << said;
    EXPECT_NE(said.find("1024 MiB"), std::string::npos) << said;
    EXPECT_NE(said.find("--window"), std::string::npos) << said;
  }
  EXPECT_THROW(make_plan(card(false), request(0, 1 << 20)), Error);
}

TEST(Planner, AnAskedChunkIsRoundedToTilesAndKept) {
  PlanRequest r = request(0);
  r.chunk = 1'000;
  EXPECT_EQ(make_plan(card(false), r).chunk, 960);
  r.chunk = 1;
  EXPECT_EQ(make_plan(card(false), r).chunk, kTile);
}

TEST(Planner, BatchesOnAGpuFitItsMemory) {
  Card c = card(true);
  c.cuda = true;
  c.cuda_row_bytes = 6'000;
  PlanRequest r = request(4'096);
  const Plan free = make_plan(c, r);
  EXPECT_GT(free.device_bytes, free.chunk * 6'000);
  EXPECT_EQ(free.halved_to, 0);
  r.device_memory = free.device_bytes / 3;
  const Plan tight = make_plan(c, r);
  EXPECT_EQ(tight.chunk, free.chunk / 4);
  EXPECT_LE(tight.device_bytes, r.device_memory);
  EXPECT_EQ(tight.device_free, r.device_memory);
  r.window = 1'000'000;  // whole, whatever the batch
  EXPECT_THROW(make_plan(c, r), Error);
}

TEST(Planner, KeysAndValuesOnAGpuComeBesideTheBatch) {
  Card c = card(false);
  c.cuda = true;
  c.cuda_row_bytes = 6'000;
  PlanRequest r = request(100'000);
  const Index without = make_plan(c, r).device_bytes;
  c.history_bytes = 20'000;
  const Plan free = make_plan(c, r);
  EXPECT_EQ(free.history_bytes, Index{100'000} * 20'000);
  EXPECT_EQ(free.device_bytes, without + free.history_bytes);
  // Batches make room for them down to the smallest, then the window is refused.
  r.device_memory = free.history_bytes + without / 3;
  EXPECT_EQ(make_plan(c, r).chunk, free.chunk / 4);
  r.device_memory = free.history_bytes;
  try {
    make_plan(c, r);
    FAIL() << "no room for a batch";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::memory);
    const std::string said = error.what();
    EXPECT_NE(said.find("keys and values of 100000 tokens"), std::string::npos) << said;
    EXPECT_NE(said.find("--window"), std::string::npos) << said;
  }
}

TEST(Planner, SomeMemoryIsAvailable) { EXPECT_GT(available_memory(), Index{1} << 28); }

}  // namespace
}  // namespace genossm::testing
