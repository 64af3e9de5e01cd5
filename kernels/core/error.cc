#include "kernels/core/error.h"

namespace genossm {

int exit_code(Fault fault) {
  switch (fault) {
    case Fault::internal:
    case Fault::shape:
      return 1;
    case Fault::usage:
      return 2;
    case Fault::input:
      return 3;
    case Fault::missing:
      return 4;
    case Fault::output:
      return 5;
    case Fault::checkpoint:
      return 6;
    case Fault::memory:
      return 7;
    case Fault::device:
      return 8;
    case Fault::bound:
      return 9;
  }
  return 1;
}

void fail(Fault fault, const std::string& sentence) { throw Error(fault, sentence); }

}  // namespace genossm
