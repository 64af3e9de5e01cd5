// Record: one sequence as it stands in a file, in sequencing orientation.
#pragma once

#include <string>

namespace genossm {

struct Record {
  std::string name;     // up to the first white space
  std::string comment;  // the rest of the header line
  std::string bases;    // as read: case kept, U kept; CR and white space removed
};

}  // namespace genossm
