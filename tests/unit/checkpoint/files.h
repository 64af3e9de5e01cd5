// What the tests of checkpoints share: a temporary folder, and small files made by hand.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/view.h"
#include "tests/unit/base/zip_writer.h"

namespace genossm::test {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "genossm-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream out(path_ / name, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The sentence of the Error that `body` throws; fails the test if there is none of this fault.
template <class Body>
std::string refusal(Body body, Fault fault = Fault::checkpoint) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), fault) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  std::string out;
  put<std::uint64_t>(out, header.size());
  return out + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string out(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
  return out;
}

// One float32 tensor of a safetensors file.
struct F32 {
  std::string name;
  std::vector<Index> shape;
  std::vector<float> values;
};

inline std::string safetensors(const std::vector<F32>& tensors) {
  std::string header = "{", data;
  for (const F32& tensor : tensors) {
    header += header.size() > 1 ? "," : "";
    header += '"' + tensor.name + "\":{\"dtype\":\"F32\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      header += i ? "," : "";
      header += std::to_string(tensor.shape[i]);
    }
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + ',';
    data += raw(tensor.values);
    header += std::to_string(data.size()) + "]}";
  }
  return safetensors(header + '}', data);
}

// ---- pickle programs of protocol 2, opcode by opcode

inline std::string text(const std::string& value) {
  std::string out = "X";
  put<std::uint32_t>(out, static_cast<std::uint32_t>(value.size()));
  return out + value;
}
inline std::string integer(std::int64_t value) {
  if (value >= 0 && value < 256) return std::string("K") + static_cast<char>(value);
  std::string out("\x8a\x08", 2);
  put<std::int64_t>(out, value);
  return out;
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + 't';
}
inline std::string integers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const std::int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string global(const std::string& module, const std::string& name) {
  return 'c' + module + '\n' + name + '\n';
}
inline std::string storage(const std::string& type, const std::string& key, std::int64_t elements) {
  return tuple(
             {text("storage"), global("torch", type), text(key), text("cpu"), integer(elements)}) +
         'Q';
}
inline std::string hooks() { return global("collections", "OrderedDict") + ")R"; }
inline std::string tensor(const std::string& from, std::int64_t offset,
                          const std::vector<std::int64_t>& size,
                          const std::vector<std::int64_t>& stride) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({from, integer(offset), integers(size), integers(stride), "\x89", hooks()}) + 'R';
}
// Keys and values in turn.
inline std::string dict(const std::vector<std::string>& items) {
  std::string out = "}(";
  for (const std::string& item : items) out += item;
  return out + 'u';
}
inline std::string program(const std::string& body) { return "\x80\x02" + body + '.'; }

// A PyTorch zip file of this pickle and storages "0", "1", ...
inline std::string torch_file(const std::string& pickle, const std::vector<std::string>& storages) {
  std::vector<ZipPart> parts = {{.name = "m/data.pkl", .data = pickle}};
  for (std::size_t i = 0; i < storages.size(); ++i) {
    parts.push_back({.name = "m/data/" + std::to_string(i), .data = storages[i]});
  }
  parts.push_back({.name = "m/version", .data = "3\n"});
  return make_zip(parts, true);
}

}  // namespace genossm::test
