#include "libgenossm/checkpoint/loader.h"

#include <gtest/gtest.h>

#include "libgenossm/checkpoint/listing.h"
#include "tests/unit/checkpoint/files.h"

namespace genossm {
namespace {

using namespace test;

Checkpoint with(const Folder& folder, const std::vector<F32>& tensors) {
  return Checkpoint::open(folder.write("model.safetensors", safetensors(tensors)));
}

TEST(Loader, FillsWeightsAndAccountsForAll) {
  const Folder folder;
  const Checkpoint checkpoint = with(
      folder,
      {{"w", {2, 3}, {1, 2, 3, 4, 5, 6}}, {"conv", {2, 1, 2}, {1, 2, 3, 4}}, {"tied", {1}, {9}}});
  Loader loader(checkpoint);
  Tensor w, conv, bias;
  loader.bind(w, "w", {2, 3});
  loader.bind(conv, "conv", {2, 1, 2});
  loader.bind(bias, "bias", {2}, Presence::optional);
  loader.ignore("tied", {1});
  loader.ignore("absent", {1});
  EXPECT_NO_THROW(loader.finish());
  EXPECT_TRUE(w.present());
  EXPECT_FALSE(bias.present());
  EXPECT_TRUE(bias.view2().empty());
  EXPECT_EQ(w.shape, (std::vector<Index>{2, 3}));
  EXPECT_EQ(w.view2().extent, (std::array<Index, 2>{2, 3}));
  EXPECT_EQ(w.view2().row(1)[2], 6.0f);
  EXPECT_EQ(w.view1().size(), 6);
  EXPECT_EQ(conv.view2().extent, (std::array<Index, 2>{2, 2}));
  EXPECT_TRUE(loader.has("w"));
  EXPECT_FALSE(loader.has("bias"));
  EXPECT_EQ(loader.shape_of("conv"), (std::vector<Index>{2, 1, 2}));
  EXPECT_EQ(loader.shape_of("bias"), std::nullopt);
}

TEST(Loader, OneSentenceNamesAllThatIsWrong) {
  const Folder folder;
  const Checkpoint checkpoint =
      with(folder, {{"c", {3, 4}, std::vector<float>(12)}, {"d", {1}, {0}}});
  Loader loader(checkpoint);
  Tensor a, b, c;
  loader.bind(a, "a", {1});
  loader.bind(b, "b", {1});
  loader.bind(c, "c", {4, 4});
  EXPECT_FALSE(c.present());
  EXPECT_EQ(refusal([&] { loader.finish(); }),
            "model.safetensors: 2 tensors missing: a, b; 1 of another shape: c is [3, 4], want "
            "[4, 4]; 1 left over: d");
}

TEST(Loader, LongListsAreCutAtFive) {
  const Folder folder;
  const Checkpoint checkpoint = with(folder, {});
  Loader loader(checkpoint);
  Tensor t;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) loader.bind(t, name, {1});
  EXPECT_EQ(refusal([&] { loader.finish(); }),
            "model.safetensors: 7 tensors missing: a, b, c, d, e, ...");
}

TEST(Loader, OptionalAndIgnoredTensorsStillWantTheirShape) {
  const Folder folder;
  const Checkpoint checkpoint = with(folder, {{"a", {2}, {1, 2}}, {"b", {2}, {1, 2}}});
  Loader loader(checkpoint);
  Tensor a;
  loader.bind(a, "a", {3}, Presence::optional);
  loader.ignore("b", {1, 2});
  EXPECT_EQ(refusal([&] { loader.finish(); }),
            "model.safetensors: 2 of another shape: a is [2], want [3], b is [2], want [1, 2]");
}

TEST(Loader, APrefixIsStripped) {
  const Folder folder;
  const Checkpoint checkpoint = with(folder, {{"model.w", {1}, {7}}, {"w", {1}, {8}}});
  Loader loader(checkpoint, "model.");
  Tensor w;
  loader.bind(w, "w", {1});
  EXPECT_EQ(w.values[0], 7.0f);
  EXPECT_EQ(refusal([&] { loader.finish(); }), "model.safetensors: 1 left over: w");
  Loader again(checkpoint, "model.");
  again.bind(w, "x", {1});
  EXPECT_NE(refusal([&] { again.finish(); }).find("missing: model.x"), std::string::npos);
}

TEST(Loader, IntegersAndFloatsAreKeptApart) {
  const Folder folder;
  std::string data;
  put<std::int64_t>(data, 3), put<std::int64_t>(data, -4), put<float>(data, 1);
  const Checkpoint checkpoint = Checkpoint::open(
      folder.write("model.safetensors",
                   safetensors(R"({"map":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
                               R"("f":{"dtype":"F32","shape":[1],"data_offsets":[16,20]}})",
                               data)));
  Loader loader(checkpoint);
  Tensor f;
  EXPECT_EQ(loader.integers("map"), (std::vector<std::int64_t>{3, -4}));
  EXPECT_EQ(loader.integers("absent"), std::nullopt);
  loader.bind(f, "f", {1});
  EXPECT_NO_THROW(loader.finish());
  EXPECT_EQ(loader.integers("f"), std::nullopt);
  loader.bind(f, "map", {2});
  EXPECT_EQ(refusal([&] { loader.finish(); }),
            "model.safetensors: 2 of another type: f is F32, want integers, map is I64, want "
            "floating point");
}

// A config that lies asks for shapes no file has: nothing is allocated for them.
TEST(Loader, C15HugeShapesCostNothing) {
  const Folder folder;
  const Checkpoint checkpoint = with(folder, {{"w", {1}, {1}}});
  Loader loader(checkpoint);
  Tensor w;
  constexpr Index kHuge = Index{1} << 40;
  loader.bind(w, "w", {kHuge, kHuge});
  EXPECT_FALSE(w.present());
  EXPECT_NE(refusal([&] { loader.finish(); }).find("want [1099511627776, 1099511627776]"),
            std::string::npos);
}

TEST(Loader, TheFirstOfSeveralNames) {
  const Folder folder;
  const Checkpoint checkpoint = with(folder, {{"backbone.embeddings.weight", {1}, {5}}});
  const std::vector<std::string> names = {"backbone.embedding.weight",
                                          "backbone.embeddings.weight"};
  Loader loader(checkpoint);
  Tensor w;
  loader.bind_any(w, names, {1});
  EXPECT_EQ(w.values[0], 5.0f);
  EXPECT_NO_THROW(loader.finish());
  const Checkpoint other = with(folder, {});
  Loader nothing(other);
  nothing.bind_any(w, names, {1});
  EXPECT_NE(refusal([&] { nothing.finish(); }).find("missing: backbone.embedding.weight"),
            std::string::npos);
}

TEST(Listing, WritesDownWhatIsAskedFor) {
  Listing listing({{"map", {4}}, {"lm_head.weight", {8, 2}}});
  Tensor t;
  listing.bind(t, "w", {2, 3});
  listing.bind(t, "b", {2}, Presence::optional);
  listing.ignore("tied", {2});
  EXPECT_TRUE(listing.has("map"));
  EXPECT_FALSE(listing.has("w"));
  EXPECT_EQ(listing.shape_of("lm_head.weight"), (std::vector<Index>{8, 2}));
  EXPECT_EQ(listing.integers("map"), std::vector<std::int64_t>(4, 0));
  EXPECT_EQ(listing.integers("other"), std::nullopt);
  EXPECT_FALSE(t.present());
  ASSERT_EQ(listing.entries().size(), 5u);
  EXPECT_EQ(listing.entries()[0].name, "w");
  EXPECT_EQ(listing.entries()[0].shape, (std::vector<Index>{2, 3}));
  EXPECT_EQ(listing.entries()[1].presence, Presence::optional);
  EXPECT_EQ(listing.entries()[2].use, Listing::Use::ignored);
  EXPECT_EQ(listing.entries()[3].use, Listing::Use::integers);
}

}  // namespace
}  // namespace genossm
