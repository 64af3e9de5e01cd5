// PyTorch zip files: the cases of tests/golden/pickle_loader, and row C11 of the catalogue.
#include "libgenossm/checkpoint/torch_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>

#include "libgenossm/base/json.h"
#include "libgenossm/checkpoint/checkpoint.h"
#include "tests/unit/checkpoint/files.h"

namespace genossm {
namespace {

using namespace test;
namespace fs = std::filesystem;

const fs::path kGolden = fs::path(GENOSSM_SOURCE_DIR) / "tests/golden/pickle_loader";

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

// The shape of nested arrays, and their numbers in order.
void flatten(const Json& json, std::size_t depth, std::vector<Index>& shape,
             std::vector<float>& values) {
  if (json.is_array()) {
    if (shape.size() == depth) shape.push_back(json.size());
    ASSERT_EQ(shape[depth], json.size());
    for (Index i = 0; i < json.size(); ++i) flatten(json.at(i), depth + 1, shape, values);
  } else if (json.is_text()) {
    ASSERT_EQ(json.as_text(), "inf");
    values.push_back(INFINITY);
  } else {
    values.push_back(static_cast<float>(json.as_number()));
  }
}

TEST(TorchFileGolden, AcceptedFilesHaveTheValuesOfPyTorch) {
  const Json cases = Json::read(kGolden / "manifest.json").object("accept");
  ASSERT_EQ(cases.size(), 6);
  for (const std::string& file : cases.keys()) {
    SCOPED_TRACE(file);
    const Checkpoint checkpoint = Checkpoint::open(kGolden / file);
    const Json wanted = cases.object(file);
    std::size_t tensors = 0;
    for (const std::string& name : wanted.keys()) {
      if (name == "note") continue;
      SCOPED_TRACE(name);
      ++tensors;
      std::vector<Index> shape;
      std::vector<float> values;
      if (wanted.value(name).is_text()) {
        ASSERT_EQ(wanted.text(name), "shape (0,3)");
        shape = {0, 3};
      } else {
        flatten(wanted.value(name), 0, shape, values);
      }
      EXPECT_EQ(values_of(checkpoint, name), values);
      EXPECT_EQ(checkpoint.tensors()[*checkpoint.find(name)].shape, shape);
    }
    EXPECT_EQ(checkpoint.tensors().size(), tensors);
    EXPECT_EQ(checkpoint.warnings().size(), file == "ok_opaque_siblings.pt" ? 1u : 0u);
  }
}

TEST(TorchFileGolden, RefusedFilesEndInAMessage) {
  const Json cases = Json::read(kGolden / "manifest.json").object("refuse");
  ASSERT_EQ(cases.size(), 23);
  for (const std::string& file : cases.keys()) {
    SCOPED_TRACE(file);
    const auto start = std::chrono::steady_clock::now();
    const std::string what = refusal([&] { Checkpoint::open(kGolden / file); });
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
    EXPECT_TRUE(what.starts_with(file + ": ")) << what;
  }
}

TEST(TorchFileGolden, TheReasonIsTheOneOfTheManifest) {
  const std::pair<const char*, const char*> reasons[] = {
      {"bad_reduce_in_tensor.pt", "names os.getcwd"},
      {"bad_reduce_sibling.pt", "names os.getcwd"},
      {"bad_builtin_getattr.pt", "names __builtin__.getattr"},
      {"bad_storage_oob.pt", "over a storage of"},
      {"bad_numel_beyond_member.pt", "of 24 bytes"},
      {"bad_negative_size.pt", "want 0 or more"},
      {"bad_negative_stride.pt", "want 0 or more"},
      {"bad_size_overflow.pt", "over a storage of"},
      {"bad_rank_mismatch.pt", "strides"},
      {"bad_persid_path.pt", "no member of the archive"},
      {"bad_persid_kind.pt", "no storage"},
      {"bad_missing_member.pt", "no member of the archive"},
      {"bad_memo.pt", "memo slot 99 was never set"},
      {"bad_stack_underflow.pt", "empty stack"},
      {"bad_no_stop.pt", "ends before STOP"},
      {"bad_string_len.pt", "longer than the pickle"},
      {"bad_deep_nesting.pt", "no dictionary of tensors"},
      {"bad_mark_flood.pt", "open marks"},
      {"bad_inst_opcode.pt", "opcode 105"},
      {"bad_deflated.pt", "compressed"},
      {"bad_legacy_format.pt", "PyTorch before 1.6"},
      {"bad_truncated.pt", "end record"},
      {"bad_member_offset.pt", "no local header"}};
  ASSERT_EQ(std::size(reasons), 23u);
  for (const auto& [file, word] : reasons) {
    const std::string what = refusal([&] { Checkpoint::open(kGolden / file); });
    EXPECT_NE(what.find(word), std::string::npos) << what;
  }
}

// Runs `body` in a child process that must end with status 0; returns its peak memory.
template <class Body>
long peak_kilobytes(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  rusage usage{};
  EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  return usage.ru_maxrss;
}

// What the refusal of a file adds to the memory of a process.
long refusal_kilobytes(const fs::path& path) {
  const long before = peak_kilobytes([] { return 0; });
  return peak_kilobytes([&] {
           try {
             Checkpoint::open(path);
             return 3;
           } catch (const Error& e) {
             return e.fault() == Fault::checkpoint ? 0 : 2;
           }
         }) -
         before;
}

TEST(TorchFileGolden, RefusalsNeedLittleMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer's own memory hides what is measured here";
#endif
  for (const std::string& file : Json::read(kGolden / "manifest.json").object("refuse").keys()) {
    EXPECT_LT(refusal_kilobytes(kGolden / file), 64 * 1024) << file;
  }
}

// Programs that fill the arrays of the machine to their bounds.
TEST(TorchFile, C10FloodsNeedLittleMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer's own memory hides what is measured here";
#endif
  const Folder folder;
  const std::pair<const char*, const char*> floods[] = {
      {"N", "\x85"}, {"N", "N"}, {"]q\1", "h\1a"}, {"]", "Na"}, {"N", "q\1\x94"}};
  for (const auto& [first, repeated] : floods) {
    std::string body = first;
    for (int i = 0; i < 3'000'000; ++i) body += repeated;
    const fs::path path = folder.write("m.pt", torch_file(program(body), {}));
    EXPECT_LT(refusal_kilobytes(path), 100 * 1024) << repeated;
  }
}

TEST(TorchFile, EveryTruncationIsRefused) {
  const Folder folder;
  for (const char* name : {"ok_minimal.pt", "ok_protocol4.pt"}) {
    const std::string file = read_all(kGolden / name);
    ASSERT_GT(file.size(), 400u);
    for (std::size_t n = 0; n < file.size(); ++n) {
      const fs::path path = folder.write("m.pt", file.substr(0, n));
      refusal([&] { Checkpoint::open(path); });
    }
  }
}

// A changed byte is refused, or it is one that does not matter: the values stay the same.
TEST(TorchFile, EveryByteChanged) {
  const Folder folder;
  for (const char* name : {"ok_minimal.pt", "ok_protocol4.pt"}) {
    const std::string file = read_all(kGolden / name);
    const std::vector<float> wanted = {1.5f, -2, 3.25f, 4, 5, -6.5f};
    int refused = 0;
    for (std::size_t at = 0; at < file.size(); ++at) {
      for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        std::string changed = file;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        const fs::path path = folder.write("m.pt", changed);
        try {
          const Checkpoint checkpoint = Checkpoint::open(path);
          ASSERT_EQ(values_of(checkpoint, "w"), wanted) << name << ", byte " << at;
        } catch (const Error& e) {
          ASSERT_EQ(e.fault(), Fault::checkpoint);
          ++refused;
        }
      }
    }
    EXPECT_GT(refused, static_cast<int>(file.size()) * 6);
  }
}

// ---- C11

std::string pickle_of_w() {
  return program(dict({text("w"), tensor(storage("FloatStorage", "0", 2), 0, {2}, {1})}));
}
const std::string kTwoFloats = raw(std::vector<float>{1.5f, -2.0f});

void expect_refused(const std::vector<ZipPart>& parts, const std::string& word) {
  const Folder folder;
  const fs::path path = folder.write("m.pt", make_zip(parts, true));
  const std::string what = refusal([&] {
    const Checkpoint checkpoint = Checkpoint::open(path);
    values_of(checkpoint, "w");
  });
  EXPECT_NE(what.find(word), std::string::npos) << what << "\nwanted: " << word;
}

TEST(TorchFile, C11Archives) {
  const ZipPart pickle{.name = "m/data.pkl", .data = pickle_of_w()};
  const ZipPart data{.name = "m/data/0", .data = kTwoFloats};
  const Folder folder;
  for (const char* order : {"", "little"}) {
    std::vector<ZipPart> parts = {pickle, data};
    if (*order != 0) parts.push_back({.name = "m/byteorder", .data = order});
    parts.push_back({.name = "m/.data/serialization_id", .data = "123"});
    const Checkpoint good = Checkpoint::open(folder.write("m.pt", make_zip(parts, true)));
    EXPECT_EQ(values_of(good, "w"), (std::vector<float>{1.5f, -2.0f}));
    EXPECT_EQ(good.label(), "m.pt");
    EXPECT_FALSE(good.has_config());
  }
  expect_refused({pickle, data, {.name = "m/byteorder", .data = "big"}}, "byte order is \"big\"");
  expect_refused({pickle, data, {.name = "m/sub/data.pkl", .data = "."}}, "two pickles");
  expect_refused({pickle, data, {.name = "other/x", .data = "."}}, "not below m/");
  expect_refused({pickle, data, {.name = "m/code/__torch__.py", .data = "."}}, "TorchScript");
  expect_refused({pickle, data, {.name = "m/constants.pkl", .data = "."}}, "TorchScript");
  expect_refused({data}, "no PyTorch checkpoint");
  expect_refused({{.name = "data.pkl", .data = pickle_of_w()}, data}, "no PyTorch checkpoint");
  expect_refused({{.name = "a/b/data.pkl", .data = pickle_of_w()}, data}, "folder at the top");
  expect_refused({pickle}, "no member of the archive");
  expect_refused({pickle, {.name = "m/data/0", .data = "1234567"}}, "of 7 bytes");
  expect_refused({pickle, {.name = "m/data/0", .data = kTwoFloats, .crc_flip = 1}}, "CRC-32");
  expect_refused({{.name = "m/data.pkl", .data = pickle_of_w(), .crc_flip = 1}, data}, "CRC-32");
  expect_refused({pickle, {.name = "m/data/0", .data = kTwoFloats, .method = 8}}, "compressed");
  expect_refused({pickle, data, data}, "two members are called m/data/0");
}

TEST(TorchFile, C11ManyMembers) {
  // More members than 16 bits count, through the ZIP64 end record.
  std::vector<ZipPart> parts = {{.name = "m/data.pkl", .data = pickle_of_w()},
                                {.name = "m/data/0", .data = kTwoFloats}};
  for (int i = 1; i < 70'000; ++i) parts.push_back({.name = "m/data/" + std::to_string(i)});
  const Folder folder;
  EXPECT_EQ(values_of(Checkpoint::open(folder.write("m.pt", make_zip(parts, true))), "w").size(),
            2u);
}

TEST(TorchFile, C11Polyglots) {
  const Folder folder;
  const std::string zip = make_zip(
      {{.name = "m/data.pkl", .data = pickle_of_w()}, {.name = "m/data/0", .data = kTwoFloats}});
  // A safetensors file with an archive after it, and the reverse.
  const std::string tensors = safetensors({{"w", {1}, {1}}});
  EXPECT_NE(refusal([&] {
              Checkpoint::open(folder.write("a.safetensors", tensors + zip));
            }).find("the tensors end at"),
            std::string::npos);
  EXPECT_NE(
      refusal([&] { Checkpoint::open(folder.write("a.pt", zip + tensors)); }).find("end record"),
      std::string::npos);
  EXPECT_NE(refusal([&] { Checkpoint::open(folder.write("b.pt", "#!" + zip)); }).find("neither"),
            std::string::npos);
}

TEST(TorchFile, C12OtherForms) {
  const Folder folder;
  const auto what = [&](const std::string& name, const std::string& bytes) {
    return refusal([&] { Checkpoint::open(folder.write(name, bytes)); });
  };
  std::string tar(1024, '\0');
  tar.replace(257, 5, "ustar");
  EXPECT_NE(what("m.pt", tar).find("torch.save()"), std::string::npos);
  EXPECT_NE(what("m.pt", "\x80\x02}.").find("bare pickle"), std::string::npos);
  EXPECT_NE(what("m.bin", "GGUF....").find("GGUF"), std::string::npos);
  EXPECT_NE(what("m.bin", "version https://git-lfs.github.com/spec/v1\n").find("git lfs pull"),
            std::string::npos);
  EXPECT_NE(what("m.bin", "").find("neither"), std::string::npos);
  EXPECT_NE(what("m.ckpt", "hello, world").find("neither"), std::string::npos);
}

TEST(TorchFile, TiedTensorsAreReadThroughOneStorage) {
  const std::string from = storage("FloatStorage", "0", 6);
  const std::string pickle =
      program(dict({text("a"), tensor(from, 0, {2, 3}, {3, 1}), text("b"),
                    tensor(from, 0, {2, 3}, {3, 1}), text("t"), tensor(from, 0, {3, 2}, {1, 3}),
                    text("cube"), tensor(from, 0, {1, 3, 2}, {6, 1, 3}), text("wide"),
                    tensor(from, 1, {2, 2, 2}, {0, 3, 1})}));
  const Folder folder;
  const Checkpoint checkpoint = Checkpoint::open(
      folder.write("m.pt", torch_file(pickle, {raw(std::vector<float>{1, 2, 3, 4, 5, 6})})));
  EXPECT_EQ(values_of(checkpoint, "a"), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(values_of(checkpoint, "b"), values_of(checkpoint, "a"));
  EXPECT_EQ(values_of(checkpoint, "t"), (std::vector<float>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(values_of(checkpoint, "cube"), values_of(checkpoint, "t"));
  EXPECT_EQ(values_of(checkpoint, "wide"), (std::vector<float>{2, 3, 5, 6, 2, 3, 5, 6}));
}

TEST(TorchFile, IntegerTensors) {
  const std::string pickle =
      program(dict({text("n"), tensor(storage("LongStorage", "0", 4), 1, {3}, {1}), text("flag"),
                    tensor(storage("BoolStorage", "1", 2), 0, {2}, {1})}));
  const Folder folder;
  const Checkpoint checkpoint = Checkpoint::open(folder.write(
      "m.pt", torch_file(pickle, {raw(std::vector<std::int64_t>{9, -1, 2, 3}), "\x01\x02"})));
  std::vector<std::int64_t> n(3), flag(2);
  checkpoint.source().read_i64(0, n);
  checkpoint.source().read_i64(1, flag);
  EXPECT_EQ(n, (std::vector<std::int64_t>{-1, 2, 3}));
  EXPECT_EQ(flag, (std::vector<std::int64_t>{1, 1}));
  refusal([&] { values_of(checkpoint, "n"); });
}

}  // namespace
}  // namespace genossm
