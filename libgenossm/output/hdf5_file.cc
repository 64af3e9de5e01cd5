#include "libgenossm/output/hdf5_file.h"

#include <hdf5.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "kernels/core/error.h"

namespace genossm {
namespace {

static_assert(sizeof(hid_t) == sizeof(Hdf5File::Id));

// An IEEE-like float of 16 bits.
hid_t half(std::size_t exponent_bits, std::size_t bias) {
  const std::size_t fraction = 15 - exponent_bits;
  const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
  if (type < 0 || H5Tset_fields(type, 15, fraction, exponent_bits, 0, fraction) < 0 ||
      H5Tset_size(type, 2) < 0 || H5Tset_ebias(type, bias) < 0) {
    return -1;
  }
  return type;
}

// A property list for a moment.
class Properties {
 public:
  explicit Properties(hid_t of) : id_(H5Pcreate(of)) {}
  ~Properties() { H5Pclose(id_); }
  Properties(const Properties&) = delete;
  Properties& operator=(const Properties&) = delete;
  hid_t id() const { return id_; }

 private:
  hid_t id_;
};

class Space {
 public:
  explicit Space(hid_t id) : id_(id) {}
  ~Space() { H5Sclose(id_); }
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;
  hid_t id() const { return id_; }

 private:
  hid_t id_;
};

}  // namespace

Hdf5File::Hdf5File(const std::string& path, bool force) : file_on_disk_(path, force) {
  H5dont_atexit();                              // nothing is left to do then
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are ours to tell
  const Properties access(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
  H5Pset_file_locking(access.id(), false, true);  // the file is locked already, by us
#endif
  const Properties creation(H5P_FILE_CREATE);
  H5Pset_obj_track_times(creation.id(), false);
  file_ = H5Fcreate(file_on_disk_.temporary().c_str(), H5F_ACC_TRUNC, creation.id(), access.id());
  if (file_ < 0) refuse();
  text_ = H5Tcopy(H5T_C_S1);
  H5Tset_size(text_, H5T_VARIABLE);
  H5Tset_cset(text_, H5T_CSET_UTF8);
  f16_ = half(5, 15);
  bf16_ = half(8, 127);
  require(text_ >= 0 && f16_ >= 0 && bf16_ >= 0, Fault::internal, "HDF5 lacks a type");
}

Hdf5File::~Hdf5File() {
  if (failed_) return;  // the library does not survive its own failures; the program ends anyway
  for (const Id id : datasets_) H5Dclose(id);
  for (const Id id : groups_) H5Gclose(id);
  for (const Id id : {text_, f16_, bf16_}) {
    if (id >= 0) H5Tclose(id);
  }
  if (file_ >= 0) H5Fclose(file_);
}

void Hdf5File::refuse() const {
  const int code = errno;
  failed_ = true;
  const bool told = code == ENOSPC || code == EFBIG || code == EDQUOT || code == EIO;
  fail(Fault::output, file_on_disk_.path() + ": cannot be written (" +
                          (told ? std::generic_category().message(code)
                                : std::string("HDF5 says no more: a full or failing disk")) +
                          ")");
}

Hdf5File::Id Hdf5File::type_of(Type type) const {
  switch (type) {
    case Type::f32:
      return H5T_IEEE_F32LE;
    case Type::f16:
      return f16_;
    case Type::bf16:
      return bf16_;
    case Type::i64:
      return H5T_STD_I64LE;
    case Type::i32:
      return H5T_STD_I32LE;
    case Type::text:
      return text_;
  }
  return -1;
}

Hdf5File::Id Hdf5File::group(Id parent, const std::string& name) {
  const Properties creation(H5P_GROUP_CREATE);
  H5Pset_obj_track_times(creation.id(), false);
  const Id id = H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT);
  check(id);
  groups_.push_back(id);
  return id;
}

void Hdf5File::attribute(Id object, const std::string& name, std::string_view text) {
  const Space space(H5Screate(H5S_SCALAR));
  const Id id = H5Acreate2(object, name.c_str(), text_, space.id(), H5P_DEFAULT, H5P_DEFAULT);
  check(id);
  const std::string copy(text);
  const char* pointer = copy.c_str();
  const herr_t status = H5Awrite(id, text_, &pointer);
  H5Aclose(id);
  check(status);
}

void Hdf5File::attribute(Id object, const std::string& name,
                         const std::vector<std::string>& texts) {
  const hsize_t n = texts.size();
  const Space space(H5Screate_simple(1, &n, nullptr));
  const Id id = H5Acreate2(object, name.c_str(), text_, space.id(), H5P_DEFAULT, H5P_DEFAULT);
  check(id);
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  const herr_t status = n == 0 ? 0 : H5Awrite(id, text_, pointers.data());
  H5Aclose(id);
  check(status);
}

void Hdf5File::flag(Id object, const std::string& name, bool value) {
  // As h5py has them: an enumeration of two.
  const hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
  std::int8_t v = 0;
  H5Tenum_insert(type, "FALSE", &v);
  v = 1;
  H5Tenum_insert(type, "TRUE", &v);
  v = value ? 1 : 0;
  const Space space(H5Screate(H5S_SCALAR));
  const Id id = H5Acreate2(object, name.c_str(), type, space.id(), H5P_DEFAULT, H5P_DEFAULT);
  const herr_t status = id < 0 ? -1 : H5Awrite(id, type, &v);
  if (id >= 0) H5Aclose(id);
  H5Tclose(type);
  check(status);
}

void Hdf5File::scalar(Id parent, const std::string& name, std::string_view text) {
  const Properties creation(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(creation.id(), false);
  const Space space(H5Screate(H5S_SCALAR));
  const Id id =
      H5Dcreate2(parent, name.c_str(), text_, space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT);
  check(id);
  datasets_.push_back(id);
  const std::string copy(text);
  const char* pointer = copy.c_str();
  check(H5Dwrite(id, text_, H5S_ALL, H5S_ALL, H5P_DEFAULT, &pointer));
  attribute(id, "encoding-type", "string");
  attribute(id, "encoding-version", "0.2.0");
}

Hdf5File::Id Hdf5File::dataset(Id parent, const std::string& name, Type type, Index columns,
                               Index block) {
  const int rank = columns > 0 ? 2 : 1;
  const hsize_t size[2] = {0, static_cast<hsize_t>(columns)};
  const hsize_t most[2] = {H5S_UNLIMITED, static_cast<hsize_t>(columns)};
  const hsize_t chunk[2] = {static_cast<hsize_t>(block), static_cast<hsize_t>(columns)};
  const Properties creation(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(creation.id(), false);
  check(H5Pset_chunk(creation.id(), rank, chunk));
  const Space space(H5Screate_simple(rank, size, most));
  const Id id = H5Dcreate2(parent, name.c_str(), type_of(type), space.id(), H5P_DEFAULT,
                           creation.id(), H5P_DEFAULT);
  check(id);
  datasets_.push_back(id);
  return id;
}

void Hdf5File::append(Id dataset, Type type, Index columns, Index rows, const void* elements) {
  if (rows == 0) return;
  const int rank = columns > 0 ? 2 : 1;
  hsize_t size[2] = {0, 0};
  {
    const Space space(H5Dget_space(dataset));
    check(H5Sget_simple_extent_dims(space.id(), size, nullptr));
  }
  const hsize_t from[2] = {size[0], 0};
  const hsize_t count[2] = {static_cast<hsize_t>(rows), static_cast<hsize_t>(columns)};
  size[0] += static_cast<hsize_t>(rows);
  check(H5Dset_extent(dataset, size));
  const Space space(H5Dget_space(dataset));
  check(H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, from, nullptr, count, nullptr));
  const Space memory(H5Screate_simple(rank, count, nullptr));
  check(H5Dwrite(dataset, type_of(type), memory.id(), space.id(), H5P_DEFAULT, elements));
}

void Hdf5File::append(Id dataset, const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  pointers.reserve(texts.size());
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  append(dataset, Type::text, 0, static_cast<Index>(pointers.size()), pointers.data());
}

void Hdf5File::close() {
  herr_t status = 0;
  for (const Id id : datasets_) status = std::min(status, H5Dclose(id));
  for (const Id id : groups_) status = std::min(status, H5Gclose(id));
  datasets_.clear();
  groups_.clear();
  check(status);
  check(H5Fflush(file_, H5F_SCOPE_GLOBAL));
  const Id file = file_;
  file_ = -1;
  check(H5Fclose(file));
  file_on_disk_.sync();
}

}  // namespace genossm
