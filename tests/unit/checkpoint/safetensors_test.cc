// Rows C01 to C07 of the catalogue of hostile inputs: headers made in memory.
#include "libgenossm/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "tests/unit/checkpoint/files.h"

namespace genossm {
namespace {

using test::put;
using test::refusal;
using test::safetensors;

SafetensorsHeader parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "m.safetensors");
}

void expect_refused(const std::string& file, const std::string& word) {
  const std::string what = refusal([&] { parse(file); });
  EXPECT_NE(what.find(word), std::string::npos) << what << "\nwanted: " << word;
  EXPECT_TRUE(what.starts_with("m.safetensors: ")) << what;
}

// One entry with these members, over `bytes` bytes of data.
std::string entry(const std::string& members, std::size_t bytes = 8) {
  return safetensors("{\"w\":{" + members + "}}", std::string(bytes, 'x'));
}
std::string shaped(const std::string& shape, std::size_t bytes = 8,
                   const std::string& dtype = "F32") {
  return entry("\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[0," +
                   std::to_string(bytes) + "]",
               bytes);
}

TEST(Safetensors, AGoodHeader) {
  const std::string file =
      safetensors(R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],)"
                  R"("data_offsets":[2,10]},"a":{"shape":[1],"data_offsets":[0,2],"dtype":"BF16"},)"
                  R"("s":{"dtype":"I64","shape":[],"data_offsets":[10,18]},)"
                  R"("e":{"dtype":"F32","shape":[0,3],"data_offsets":[10,10]}}   )",
                  std::string(18, 'x'));
  const SafetensorsHeader header = parse(file);
  ASSERT_EQ(header.tensors.size(), 4u);
  EXPECT_EQ(header.tensors[0].name, "b");
  EXPECT_EQ(header.tensors[0].shape, std::vector<Index>{2});
  EXPECT_EQ(header.begin[0], file.size() - 16);
  EXPECT_EQ(header.tensors[1].dtype, DType::bf16);
  EXPECT_TRUE(header.tensors[2].shape.empty());
  EXPECT_EQ(header.tensors[2].elements(), 1);
  EXPECT_EQ(header.tensors[3].elements(), 0);
  EXPECT_TRUE(parse(safetensors("{}", "")).tensors.empty());
}

TEST(Safetensors, C01HeaderLength) {
  expect_refused("", "a file of 0 bytes");
  expect_refused("x", "a file of 1 bytes");
  expect_refused("1234567", "a file of 7 bytes");
  const auto length = [](std::uint64_t n) {
    std::string file;
    put<std::uint64_t>(file, n);
    return file + "{}" + std::string(100, ' ');
  };
  expect_refused(length(0), "does not begin with {");
  expect_refused(length(1), "ends with the byte {");
  expect_refused(length(std::uint64_t{1} << 63), "header length 9223372036854775808 exceeds");
  expect_refused(length(~std::uint64_t{0}), "exceeds");
  expect_refused(length(103), "header length 103 exceeds the 102 bytes");
  EXPECT_NO_THROW(parse(safetensors("{}" + std::string(100, ' '), "")));
  std::string large = length(100'000'001);
  large.resize(100'000'100, ' ');
  expect_refused(large, "exceeds the 100000000 bytes");
}

TEST(Safetensors, C02HeaderText) {
  expect_refused(safetensors("[]", ""), "does not begin with {");
  expect_refused(safetensors("\xef\xbb\xbf{}", ""), "does not begin with {");
  expect_refused(safetensors(" {}", ""), "does not begin with {");
  expect_refused(safetensors(std::string("{}\0", 3), ""), "\\x00 at byte 10");
  expect_refused(safetensors("{}\n", ""), "\\x0a at byte 10");
  expect_refused(safetensors("{} x", ""), "ends with the byte x");
  expect_refused(safetensors("{} {}", ""), "column 4");
  expect_refused(safetensors("{\"\xff\":1}", ""), "column 3: a byte that is not UTF-8");
  expect_refused(safetensors(R"({"\ud800":1})", ""), "surrogate");
  const std::string rest = R"(:{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  expect_refused(safetensors(R"({"a\u0000b")" + rest, "12345678"), "a\\x00b");
  expect_refused(safetensors(R"({"a\nb")" + rest, "12345678"), "not acceptable");
  expect_refused(safetensors("{\"\"" + rest, "12345678"), "not acceptable");
  expect_refused(safetensors("{\"" + std::string(513, 'n') + '"' + rest, "12345678"),
                 "not acceptable");
  EXPECT_NO_THROW(parse(safetensors("{\"" + std::string(512, 'n') + '"' + rest, "12345678")));
}

TEST(Safetensors, C03Duplicates) {
  const std::string w = R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  expect_refused(safetensors('{' + w + ',' + w + '}', "12345678"), "\"w\" stands twice");
  expect_refused(entry(R"("dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8])"),
                 "\"shape\" stands twice");
  const std::string m = R"("__metadata__":{"a":"b"})";
  expect_refused(safetensors('{' + m + ',' + m + '}', ""), "stands twice");
  expect_refused(safetensors(R"({"__metadata__":{"a":1}})", ""), "want a text");
  expect_refused(safetensors(R"({"__metadata__":[]})", ""), "want an object");
}

TEST(Safetensors, C04Offsets) {
  const auto two = [](const std::string& a, const std::string& b, std::size_t bytes = 16) {
    return safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + a +
                           R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + b + "}}",
                       std::string(bytes, 'x'));
  };
  EXPECT_NO_THROW(parse(two("[0,8]", "[8,16]")));
  EXPECT_NO_THROW(parse(two("[8,16]", "[0,8]")));
  expect_refused(two("[0,8]", "[4,12]", 12),
                 "b: bytes [4, 12) overlap what is before: a has bytes [0, 8)");
  expect_refused(two("[0,8]", "[0,8]", 8), "overlap");
  expect_refused(two("[0,8]", "[9,17]", 17), "b: bytes [9, 17) leave a gap: a has bytes [0, 8)");
  expect_refused(two("[1,9]", "[9,17]", 17), "a: bytes [1, 9) leave a gap");
  expect_refused(two("[8,0]", "[8,16]"), "a: at [8, 0)");
  expect_refused(two("[0,8]", "[8,17]"), "b: at [8, 17)");
  expect_refused(two("[0,8]", "[8,15]", 15), "F32 [2] takes 8 bytes, the header gives it 7");
  expect_refused(two("[0,8]", "[8,16]", 17),
                 "the tensors end at byte 16 of the data, which have 17");
  expect_refused(two("[-8,0]", "[0,8]", 8), "a: at [-8, 0)");
  expect_refused(two("[0,8]", "[8,18446744073709551632]"), "want an integer");
  expect_refused(two("[0,8]", "[8]"), "wants two numbers");
  expect_refused(two("[0,8]", "[8,16,24]"), "wants two numbers");
  expect_refused(two("[0,8]", "[8.0,16]"), "want an integer");
  // An empty tensor in the middle of another one.
  expect_refused(safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("e":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
                             "12345678"),
                 "e: bytes [4, 4) overlap");
  expect_refused(safetensors("{}", "x"), "the tensors end at byte 0");
}

TEST(Safetensors, C05Shapes) {
  EXPECT_NO_THROW(parse(shaped("[2]")));
  EXPECT_NO_THROW(parse(shaped("[1,2,1]")));
  EXPECT_NO_THROW(parse(shaped("[]", 4)));
  EXPECT_NO_THROW(parse(shaped("[0]", 0)));
  EXPECT_NO_THROW(parse(shaped("[5,0,7]", 0)));
  expect_refused(shaped("[-2]"), "-2 is negative");
  expect_refused(shaped("[-1,-2]"), "negative");
  expect_refused(shaped("[9223372036854775808]"), "want an integer");
  expect_refused(shaped("[9223372036854775807]"), "more bytes than the file has");
  expect_refused(shaped("[2.0]"), "want an integer");
  expect_refused(shaped("[1e3]"), "want an integer");
  expect_refused(shaped("[true]"), "want an integer");
  expect_refused(shaped("2"), "want an array");
  expect_refused(shaped("[4294967296,4294967296]"), "more bytes than the file has");
  // 2^62 * 4 * 4 wraps to 0, and 3 * 6148914691236517206 * 4 to 8.
  expect_refused(shaped("[4611686018427387904,4]", 0), "more bytes than the file has");
  expect_refused(shaped("[3,6148914691236517206]", 8), "more bytes than the file has");
  expect_refused(shaped("[4611686018427387904,4,0]", 0), "more bytes than the file has");
  std::string ones = "[1";
  for (int i = 1; i < 33; ++i) ones += ",1";
  expect_refused(shaped(ones + ']', 4), "33 dimensions");
}

TEST(Safetensors, C05Entries) {
  expect_refused(entry(R"("dtype":"F32","shape":[2])"), "\"data_offsets\" is missing");
  expect_refused(entry(R"("dtype":"F32","data_offsets":[0,8])"), "\"shape\" is missing");
  expect_refused(entry(R"("shape":[2],"data_offsets":[0,8])"), "\"dtype\" is missing");
  expect_refused(entry(R"("dtype":null,"shape":[2],"data_offsets":[0,8])"), "missing");
  expect_refused(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1)"),
                 "unknown key \"x\"");
  expect_refused(safetensors(R"({"w":[]})", ""), "want an object");
}

TEST(Safetensors, C06TimeAndDepth) {
  std::string many = "{";
  for (int i = 0; i < 1'400'000; ++i) {
    many += i ? ",\"" : "\"";
    many += std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[" +
            std::to_string(i) + ',' + std::to_string(i + 1) + "]}";
  }
  std::string bombs[] = {safetensors(many + '}', std::string(1'400'000, 'x')),
                         safetensors("{\"a\":" + std::string(1'000'000, '[') + '}', "")};
  many.clear();
  const auto built = std::chrono::steady_clock::now();
  expect_refused(bombs[0], "values");
  expect_refused(bombs[1], "deeper");
  EXPECT_LT(std::chrono::steady_clock::now() - built, std::chrono::seconds(2));
  EXPECT_NO_THROW(parse(safetensors("{}" + std::string(99'000'000, ' '), "")));
  EXPECT_LT(std::chrono::steady_clock::now() - built, std::chrono::seconds(4));
}

TEST(Safetensors, C07Types) {
  for (const auto& [name, size] : {std::pair{"F64", 8},
                                   {"F32", 4},
                                   {"F16", 2},
                                   {"BF16", 2},
                                   {"I64", 8},
                                   {"I32", 4},
                                   {"I16", 2},
                                   {"I8", 1},
                                   {"U8", 1},
                                   {"BOOL", 1}}) {
    const auto header = parse(shaped("[3]", static_cast<std::size_t>(3 * size), name));
    EXPECT_EQ(name_of(header.tensors[0].dtype), name);
  }
  for (const char* name : {"F8_E4M3", "F4", "C64", "U64", "f32", ""}) {
    expect_refused(shaped("[8]", 8, name), "w: elements of type " + std::string(name) + " are not");
  }
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string file = safetensors({{"a", {2}, {1, 2}}, {"b", {1, 3}, {3, 4, 5}}});
  EXPECT_NO_THROW(parse(file));
  for (std::size_t n = 0; n < file.size(); ++n) {
    refusal([&] { parse(file.substr(0, n)); });
  }
}

// Whatever a changed header says, every tensor of it lies within the data.
void expect_sound(const std::string& file) {
  try {
    const SafetensorsHeader header = parse(file);
    for (std::size_t i = 0; i < header.tensors.size(); ++i) {
      const TensorInfo& tensor = header.tensors[i];
      ASSERT_TRUE(within(header.begin[i],
                         static_cast<std::uint64_t>(tensor.elements() * size_of(tensor.dtype)),
                         file.size()));
    }
  } catch (const Error& e) {
    ASSERT_EQ(e.fault(), Fault::checkpoint);
  }
}

TEST(Safetensors, EveryByteOfTheHeaderChanged) {
  const std::string file = safetensors({{"a", {2}, {1, 2}}, {"b", {1, 3}, {3, 4, 5}}});
  for (std::size_t at = 0; at < file.size() - 20; ++at) {
    for (int flip = 1; flip < 256; ++flip) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      expect_sound(changed);
    }
  }
}

TEST(Safetensors, RandomEdits) {
  std::mt19937 random(3);
  const std::string file = safetensors({{"a", {2}, {1, 2}}, {"b", {1, 3}, {3, 4, 5}}});
  const std::string letters = "0123456789[]{},:\"-e.";
  for (int round = 0; round < 50'000; ++round) {
    std::string changed = file;
    for (int edits = 0; edits < 4; ++edits) {
      changed[8 + random() % (file.size() - 28)] = letters[random() % letters.size()];
    }
    expect_sound(changed);
  }
}

TEST(Safetensors, ValuesAreRead) {
  const test::Folder folder;
  std::string data;
  put<float>(data, 1.5f), put<float>(data, -2.0f);
  put<std::uint16_t>(data, 0x3fc0);
  put<std::int64_t>(data, -5);
  data += "\x01\x02";
  // The header has an odd length: nothing is aligned.
  std::string header = R"({"f":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                       R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},)"
                       R"("i":{"dtype":"I64","shape":[],"data_offsets":[10,18]},)"
                       R"("o":{"dtype":"BOOL","shape":[2],"data_offsets":[18,20]}})";
  if (header.size() % 2 == 0) header += ' ';
  const auto source =
      open_safetensors(MappedFile::open(folder.write("m.safetensors", safetensors(header, data))));
  std::vector<float> f(2), b(1);
  source->read_f32(0, f);
  source->read_f32(1, b);
  EXPECT_EQ(f, (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(b, std::vector<float>{1.5f});
  std::vector<std::int64_t> i(1), o(2);
  source->read_i64(2, i);
  source->read_i64(3, o);
  EXPECT_EQ(i, std::vector<std::int64_t>{-5});
  EXPECT_EQ(o, (std::vector<std::int64_t>{1, 1}));
  refusal([&] { source->read_f32(2, b); });
  refusal([&] { source->read_i64(0, o); });
  refusal([&] { source->read_f32(0, b); }, Fault::internal);
}

TEST(Safetensors, C17AFileCutWhileItIsMapped) {
  const test::Folder folder;
  const auto path = folder.write("m.safetensors", safetensors({{"a", {2}, {1, 2}}}));
  const auto source = open_safetensors(MappedFile::open(path));
  std::filesystem::resize_file(path, 10);
  std::vector<float> values(2);
  refusal([&] { source->read_f32(0, values); }, Fault::missing);
}

}  // namespace
}  // namespace genossm
