// In the place of hdf5_matrix.cc where the build is without libhdf5.
#include "kernels/core/error.h"
#include "libgenossm/output/matrix_writers.h"

namespace genossm {

std::unique_ptr<MatrixWriter> open_hdf5(const OutputRequest& request, const MatrixSpec&, bool) {
  fail(Fault::usage, request.path +
                         ": this build is without HDF5 (GENOSSM_HDF5); write npy, zarr "
                         "or npz");
}

}  // namespace genossm
