#include "libgenossm/checkpoint/torch_file.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/base/zip.h"
#include "libgenossm/checkpoint/convert.h"
#include "libgenossm/checkpoint/torch_pickle.h"

namespace genossm {
namespace {

constexpr std::string_view kPickleName = "/data.pkl";

// Row-major without gaps: what most weights are.
bool is_contiguous(const TorchTensor& tensor) {
  Index step = 1;
  for (std::size_t d = tensor.size.size(); d-- > 0;) {
    if (tensor.size[d] != 1 && tensor.stride[d] != step) return false;
    step *= tensor.size[d];
  }
  return true;
}

// Copies a strided view row by row; `copy(offset, stride, count, to)` does one row.
template <class To, class Copy>
void copy_strided(const TorchTensor& tensor, To* to, Copy copy) {
  const std::size_t rank = tensor.size.size();
  const Index columns = rank == 0 ? 1 : tensor.size[rank - 1];
  const Index stride = rank == 0 ? 1 : tensor.stride[rank - 1];
  Index rows = 1;
  for (std::size_t d = 0; d + 1 < rank; ++d) rows *= tensor.size[d];
  if (rows == 0 || columns == 0) return;
  std::vector<Index> place(rank, 0);  // of the row, in all dimensions but the last
  Index offset = tensor.offset;
  for (Index row = 0; row < rows; ++row, to += columns) {
    copy(offset, stride, columns, to);
    for (std::size_t d = rank; d-- > 1;) {
      const std::size_t axis = d - 1;
      offset += tensor.stride[axis];
      if (++place[axis] < tensor.size[axis]) break;
      offset -= tensor.stride[axis] * tensor.size[axis];
      place[axis] = 0;
    }
  }
}

class TorchFile : public TensorSource {
 public:
  TorchFile(MappedFile file, std::vector<std::string>& warnings)
      : file_(std::move(file)), origin_(file_.path().filename().string()) {
    const std::vector<ZipMember> members = read_zip(file_.bytes(), origin_);
    const ZipMember& pickle = find_pickle(members);
    const std::string root = pickle.name.substr(0, pickle.name.size() - kPickleName.size());
    check_form(members, root);
    const std::vector<TorchStorage> storages = find_storages(members, root);
    check_crc(file_.bytes(), pickle, origin_);
    StateDict state =
        read_torch_pickle(file_.bytes().subspan(pickle.offset, pickle.size), storages, origin_);
    tensors_ = std::move(state.tensors);
    blobs_ = std::move(state.blobs);
    for (std::string& warning : state.warnings) warnings.push_back(std::move(warning));
    for (const TorchTensor& tensor : tensors_) {
      infos_.push_back({tensor.name, tensor.dtype, tensor.size});
    }
    checked_ = std::make_unique<std::once_flag[]>(members_.size());
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }

  void read_f32(std::size_t i, std::span<float> out) const override {
    read(i, out, convert_to_f32);
  }
  void read_i64(std::size_t i, std::span<std::int64_t> out) const override {
    read(i, out, convert_to_i64);
  }

  std::optional<std::span<const std::byte>> blob(const std::string& name) const override {
    for (const TorchBlob& blob : blobs_) {
      if (blob.name == name) return std::span<const std::byte>(blob.bytes);
    }
    return std::nullopt;
  }

  std::optional<Place> place(std::size_t i) const override {
    file_.check_unchanged();
    const TorchTensor& tensor = tensors_[i];
    if (!is_contiguous(tensor)) return std::nullopt;
    check_storage(tensor.storage);
    const ZipMember& member = members_[tensor.storage];
    const std::byte* data = file_.bytes().data() + member.offset;
    file_.not_needed({data, member.size});  // the check has read all of it
    return Place{file_, data + tensor.offset * size_of(tensor.dtype)};
  }

 private:
  [[noreturn]] void stop(const std::string& what) const {
    fail(Fault::checkpoint, origin_ + ": " + what);
  }

  const ZipMember& find_pickle(const std::vector<ZipMember>& members) const {
    const ZipMember* found = nullptr;
    for (const ZipMember& member : members) {
      if (!std::string_view(member.name).ends_with(kPickleName)) continue;
      if (found != nullptr) {
        stop("two pickles, " + shown(found->name) + " and " + shown(member.name) + ", want one");
      }
      found = &member;
    }
    if (found == nullptr) {
      stop("a ZIP file without ROOT/data.pkl is no PyTorch checkpoint");
    }
    return *found;
  }

  // All members lie below one root; no code; little-endian.
  void check_form(const std::vector<ZipMember>& members, const std::string& root) const {
    if (root.empty() || root.find('/') != std::string::npos) {
      stop("data.pkl is not in a folder at the top of the archive");
    }
    for (const ZipMember& member : members) {
      if (!member.name.starts_with(root + '/')) {
        stop("member " + shown(member.name) + " is not below " + shown(root) + '/');
      }
      const std::string_view inner = std::string_view(member.name).substr(root.size() + 1);
      if (inner.starts_with("code/") || inner == "constants.pkl") {
        stop(
            "a TorchScript archive, which holds a program; save the weights alone with "
            "torch.save(module.state_dict(), ...)");
      }
      if (inner == "byteorder") {
        check_crc(file_.bytes(), member, origin_);
        const std::string_view order = file_.text().substr(member.offset, member.size);
        if (order != "little") {
          stop("the byte order is \"" + shown(order) + "\", want little");
        }
      }
    }
  }

  // Sorted by key; members_ goes along with the result.
  std::vector<TorchStorage> find_storages(const std::vector<ZipMember>& members,
                                          const std::string& root) {
    const std::string folder = root + "/data/";
    for (const ZipMember& member : members) {
      if (!member.name.starts_with(folder)) continue;
      const std::string_view key = std::string_view(member.name).substr(folder.size());
      const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '_';
      });
      if (plain) members_.push_back(member);
    }
    std::sort(members_.begin(), members_.end(),
              [](const ZipMember& a, const ZipMember& b) { return a.name < b.name; });
    std::vector<TorchStorage> storages;
    storages.reserve(members_.size());
    for (const ZipMember& member : members_) {
      storages.push_back({member.name.substr(folder.size()), member.size});
    }
    return storages;
  }

  // Once a storage: several tensors may be views of it, and none need be read twice.
  void check_storage(std::size_t storage) const {
    std::call_once(checked_[storage],
                   [&] { check_crc(file_.bytes(), members_[storage], origin_); });
  }

  template <class To, class Convert>
  void read(std::size_t i, std::span<To> out, Convert convert) const {
    file_.check_unchanged();
    const TorchTensor& tensor = tensors_[i];
    const Index elements = checked_elements(infos_[i], out.size());
    const ZipMember& member = members_[tensor.storage];
    check_storage(tensor.storage);
    const std::byte* data = file_.bytes().data() + member.offset;
    const Index size = size_of(tensor.dtype);
    if (is_contiguous(tensor)) {
      convert(tensor.dtype, data + tensor.offset * size, 1, elements, out.data());
    } else {
      copy_strided(tensor, out.data(), [&](Index offset, Index stride, Index count, To* to) {
        convert(tensor.dtype, data + offset * size, stride, count, to);
      });
    }
  }

  MappedFile file_;
  std::string origin_;
  std::vector<ZipMember> members_;  // of the storages
  std::vector<TorchTensor> tensors_;
  std::vector<TensorInfo> infos_;
  std::vector<TorchBlob> blobs_;
  std::unique_ptr<std::once_flag[]> checked_;  // one a storage: its CRC was looked at
};

}  // namespace

std::shared_ptr<const TensorSource> open_torch_file(MappedFile file,
                                                    std::vector<std::string>& warnings) {
  return std::make_shared<TorchFile>(std::move(file), warnings);
}

}  // namespace genossm
