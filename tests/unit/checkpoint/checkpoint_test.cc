// Checkpoint::open: which file of a folder is taken, shards (rows C08 and C09), config, checksum.
#include "libgenossm/checkpoint/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

#include "libgenossm/base/sha256.h"
#include "tests/unit/checkpoint/files.h"

namespace genossm {
namespace {

using namespace test;
namespace fs = std::filesystem;

std::vector<float> values_of(const Checkpoint& checkpoint, std::string_view name) {
  const auto index = checkpoint.find(name);
  if (!index) {
    ADD_FAILURE() << name << " is missing";
    return {};
  }
  std::vector<float> values(static_cast<std::size_t>(checkpoint.tensors()[*index].elements()));
  checkpoint.source().read_f32(*index, values);
  return values;
}

void expect_refused(const fs::path& path, const std::string& word,
                    Fault fault = Fault::checkpoint) {
  const std::string what = refusal([&] { Checkpoint::open(path); }, fault);
  EXPECT_NE(what.find(word), std::string::npos) << what << "\nwanted: " << word;
}

std::string one_tensor(const std::string& name, float value) {
  return safetensors({{name, {1}, {value}}});
}
std::string one_torch_tensor(float value) {
  return torch_file(
      program(dict({text("w"), tensor(storage("FloatStorage", "0", 1), 0, {1}, {1})})),
      {raw(std::vector<float>{value})});
}

TEST(Checkpoint, TheUsualNamesInOrder) {
  const Folder folder;
  const auto value = [&] { return values_of(Checkpoint::open(folder.path()), "w").at(0); };
  const auto label = [&] { return Checkpoint::open(folder.path()).label(); };
  expect_refused(folder.path(), "holds no weights", Fault::missing);
  folder.write("optimizer.pt", "not looked at");
  folder.write("training_args.bin", "not looked at");
  folder.write("rng_state_0.pth", "not looked at");
  expect_refused(folder.path(), "holds no weights", Fault::missing);
  folder.write("epoch3.ckpt", one_torch_tensor(1));
  EXPECT_EQ(value(), 1);
  folder.write("other.safetensors", one_tensor("w", 2));
  expect_refused(folder.path(),
                 "2 files that may be the weights (epoch3.ckpt, other.safetensors)");
  folder.write("weights.ckpt", one_torch_tensor(5));
  EXPECT_EQ(value(), 5);
  folder.write("last.ckpt", one_torch_tensor(6));
  expect_refused(folder.path(), "4 files that may be the weights");
  EXPECT_EQ(values_of(Checkpoint::open(folder.path() / "other.safetensors"), "w").at(0), 2);
  folder.write("pytorch_model.bin.index.json", R"({"weight_map":{"w":"epoch3.ckpt"}})");
  EXPECT_EQ(label(), "pytorch_model.bin.index.json");
  EXPECT_EQ(value(), 1);
  folder.write("pytorch_model.bin", one_torch_tensor(3));
  EXPECT_EQ(value(), 3);
  folder.write("model.safetensors.index.json", R"({"weight_map":{"w":"other.safetensors"}})");
  EXPECT_EQ(value(), 2);
  folder.write("model.safetensors", one_tensor("w", 4));
  EXPECT_EQ(value(), 4);
  EXPECT_EQ(label(), "model.safetensors");
}

TEST(Checkpoint, TheFormIsToldByContent) {
  const Folder folder;
  EXPECT_EQ(values_of(Checkpoint::open(folder.write("a.bin", one_tensor("w", 5))), "w").at(0), 5);
  EXPECT_EQ(
      values_of(Checkpoint::open(folder.write("b.safetensors", one_torch_tensor(6))), "w").at(0),
      6);
}

// The first byte of a safetensors file is a length: it may look like the start of anything.
TEST(Checkpoint, AnyFirstByteOfASafetensorsFile) {
  const Folder folder;
  for (std::size_t length = 128; length < 128 + 256; ++length) {
    std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    header.resize(length, ' ');
    const fs::path path = folder.write("m.bin", safetensors(header, raw(std::vector<float>{5})));
    ASSERT_EQ(values_of(Checkpoint::open(path), "w").at(0), 5) << length;
  }
}

TEST(Checkpoint, TheConfigBesideTheWeights) {
  const Folder folder;
  const fs::path weights = folder.write("model.safetensors", one_tensor("w", 1));
  EXPECT_FALSE(Checkpoint::open(weights).has_config());
  EXPECT_EQ(Checkpoint::open(weights).config().size(), 0);
  folder.write("config.json", R"({"d_model": 8})");
  for (const fs::path& path : {weights, folder.path()}) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    EXPECT_TRUE(checkpoint.has_config());
    EXPECT_EQ(checkpoint.config().integer("d_model"), 8);
    EXPECT_EQ(checkpoint.path(), path);
    EXPECT_EQ(checkpoint.folder(), folder.path());
  }
  expect_refused(folder.path() / "config.json", "not a weights file");
  folder.write("config.json", R"({"d_model": 8, "d_model": 9})");
  expect_refused(weights, "\"d_model\" stands twice");
}

TEST(Checkpoint, C09WhatIsNotThereOrNoFile) {
  const Folder folder;
  expect_refused(folder.path() / "none", "no such file or folder", Fault::missing);
  fs::create_symlink("loop", folder.path() / "loop");
  expect_refused(folder.path() / "loop", "", Fault::missing);
  fs::create_symlink("/dev/zero", folder.path() / "zero.safetensors");
  expect_refused(folder.path() / "zero.safetensors", "not a regular file", Fault::missing);
  ASSERT_EQ(::mkfifo((folder.path() / "pipe.pt").c_str(), 0600), 0);
  expect_refused(folder.path() / "pipe.pt", "not a regular file", Fault::missing);
  fs::create_directory(folder.path() / "model.safetensors");
  expect_refused(folder.path(), "not a regular file", Fault::missing);
}

TEST(Checkpoint, C09ADanglingLinkIsNamed) {
  const Folder folder;
  fs::create_symlink("gone", folder.path() / "model.safetensors");
  folder.write("pytorch_model.bin", one_torch_tensor(1));
  expect_refused(folder.path(), "model.safetensors", Fault::missing);
}

// The layout of a hub cache: names are links to blobs outside the folder.
TEST(Checkpoint, C09LinksToBlobs) {
  const Folder folder;
  fs::create_directories(folder.path() / "blobs");
  fs::create_directories(folder.path() / "snapshots/1");
  folder.write("blobs/a1", one_tensor("a", 1));
  folder.write("blobs/b2", one_tensor("b", 2));
  folder.write("blobs/c3", R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  const fs::path snapshot = folder.path() / "snapshots/1";
  fs::create_symlink("../../blobs/a1", snapshot / "m-1.safetensors");
  fs::create_symlink("../../blobs/b2", snapshot / "m-2.safetensors");
  fs::create_symlink("../../blobs/c3", snapshot / "model.safetensors.index.json");
  const Checkpoint checkpoint = Checkpoint::open(snapshot);
  EXPECT_EQ(values_of(checkpoint, "a"), std::vector<float>{1});
  EXPECT_EQ(values_of(checkpoint, "b"), std::vector<float>{2});
}

class ShardTest : public testing::Test {
 protected:
  ShardTest() {
    folder_.write("m-1.safetensors", safetensors({{"a", {1}, {1}}, {"b", {2}, {2, 3}}}));
    folder_.write("m-2.safetensors", one_tensor("c", 4));
  }
  fs::path index(const std::string& map) const {
    return folder_.write("model.safetensors.index.json",
                         R"({"metadata":{"total_size":16},"weight_map":{)" + map + "}}");
  }
  const std::string good_ = R"("c":"m-2.safetensors","a":"m-1.safetensors","b":"m-1.safetensors")";
  Folder folder_;
};

TEST_F(ShardTest, TensorsOfAllShards) {
  for (const fs::path& path : {index(good_), folder_.path()}) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    ASSERT_EQ(checkpoint.tensors().size(), 3u);
    EXPECT_EQ(values_of(checkpoint, "a"), std::vector<float>{1});
    EXPECT_EQ(values_of(checkpoint, "b"), (std::vector<float>{2, 3}));
    EXPECT_EQ(values_of(checkpoint, "c"), std::vector<float>{4});
    EXPECT_EQ(checkpoint.files(), (std::vector<fs::path>{folder_.path() / "m-1.safetensors",
                                                         folder_.path() / "m-2.safetensors"}));
    EXPECT_EQ(checkpoint.label(), "model.safetensors.index.json");
  }
}

TEST_F(ShardTest, C08NamesThatLeaveTheFolder) {
  for (const char* name : {"../m-1.safetensors", "/etc/passwd", "sub/m.safetensors", "..", ".", "",
                           "file:///etc/passwd", "a\\\\b", "a\\u0000b"}) {
    expect_refused(index(std::string("\"a\":\"") + name + '"'), "no plain file name");
  }
  expect_refused(index(R"("a":1)"), "want a text");
  expect_refused(index(""), "names no tensor");
  expect_refused(folder_.write("model.safetensors.index.json", "{}"), "weight_map");
}

TEST_F(ShardTest, C08FilesThatAreNoShards) {
  expect_refused(index(good_ + R"(,"d":"m-3.safetensors")"), "m-3.safetensors is missing");
  fs::create_directory(folder_.path() / "folder");
  expect_refused(index(R"("a":"folder")"), "not a regular file");
  ASSERT_EQ(::mkfifo((folder_.path() / "pipe").c_str(), 0600), 0);
  expect_refused(index(R"("a":"pipe")"), "not a regular file");
  fs::create_symlink("/dev/zero", folder_.path() / "zero");
  expect_refused(index(R"("a":"zero")"), "not a regular file");
  fs::create_symlink("loop", folder_.path() / "loop");
  expect_refused(index(R"("a":"loop")"), "not a regular file");
  folder_.write("m-2.safetensors", "damaged");
  expect_refused(index(good_), "m-2.safetensors: a file of 7 bytes");
}

TEST_F(ShardTest, C08TheIndexAndTheShardsDisagree) {
  expect_refused(index(R"("c":"m-2.safetensors","a":"m-1.safetensors")"),
                 "b is in m-1.safetensors and not in the index");
  expect_refused(index(good_ + R"(,"d":"m-2.safetensors")"), "d is listed and is not in m-2");
  expect_refused(index(R"("c":"m-2.safetensors","a":"m-2.safetensors","b":"m-1.safetensors")"),
                 "a is in m-1.safetensors, the index has it in m-2.safetensors");
  folder_.write("m-2.safetensors", safetensors({{"c", {1}, {4}}, {"a", {1}, {5}}}));
  expect_refused(index(good_), "a is in m-2.safetensors, the index has it in m-1.safetensors");
  expect_refused(index(good_ + R"(,"a":"m-2.safetensors")"), "stands twice");
}

TEST_F(ShardTest, Sha256RunsOverAllFilesInOrder) {
  Sha256 digest;
  for (const char* name : {"m-1.safetensors", "m-2.safetensors"}) {
    const std::string bytes = read_all(folder_.path() / name);
    digest.update(std::as_bytes(std::span(bytes)));
  }
  EXPECT_EQ(Checkpoint::open(index(good_)).sha256(), digest.hex());
}

TEST(Checkpoint, Sha256OfAFile) {
  const Folder folder;
  // sha256sum of these ten bytes.
  const Checkpoint checkpoint =
      Checkpoint::open(folder.write("model.safetensors", safetensors("{}", "")));
  EXPECT_EQ(checkpoint.sha256(),
            "411a485216e432ece6b9af94fa32154cf79a2a56d4f81266baa50063f45092bd");
  const Checkpoint copy = checkpoint;
  EXPECT_EQ(copy.sha256(), checkpoint.sha256());
}

// Every published form among the golden cases opens, and all of its tensors can be read.
TEST(CheckpointGolden, EveryCaseOpens) {
  int opened = 0;
  for (const char* family : {"mamba1", "mamba2", "caduceus", "plantcaduceus"}) {
    const fs::path root = fs::path(GENOSSM_SOURCE_DIR) / "tests/golden" / family;
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::directory_iterator(root)) {
      if (!entry.is_directory()) continue;
      SCOPED_TRACE(entry.path().string());
      // expected.safetensors holds results; beside weights of a free name it is a second candidate.
      const fs::path named = entry.path() / "weights.ckpt";
      const Checkpoint checkpoint = Checkpoint::open(fs::exists(named) ? named : entry.path());
      EXPECT_TRUE(checkpoint.has_config());
      EXPECT_FALSE(checkpoint.tensors().empty());
      std::set<std::string> names;
      for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
        const TensorInfo& info = checkpoint.tensors()[i];
        EXPECT_EQ(checkpoint.find(info.name), i);
        names.insert(info.name);
        if (is_floating(info.dtype)) {
          values_of(checkpoint, info.name);
        } else {
          std::vector<std::int64_t> values(static_cast<std::size_t>(info.elements()));
          checkpoint.source().read_i64(i, values);
        }
      }
      EXPECT_EQ(names.size(), checkpoint.tensors().size());
      const Checkpoint expected = Checkpoint::open(entry.path() / "expected.safetensors");
      EXPECT_FALSE(expected.tensors().empty());
      ++opened;
    }
  }
  if (opened == 0) GTEST_SKIP() << "no model cases under tests/golden";
  EXPECT_GT(opened, 5);
}

}  // namespace
}  // namespace genossm
