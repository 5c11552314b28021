// Reading of MATLAB 5 files, in which some data sets publish their labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ibot::data {

/// A numeric array, a string, or an array of structs, in column-major order.
struct MatArray {
  std::string name;
  /// Values of a numeric array; the code units of a string.
  std::vector<double> numbers;
  /// Of a struct array: field names, and the arrays fields[element * field_names.size() + field].
  std::vector<std::string> field_names;
  std::vector<MatArray> fields;

  std::string text() const { return {numbers.begin(), numbers.end()}; }
};

/// The variable `name`. Compressed elements are inflated; variables of other kinds are skipped.
/// Every length is checked against the rest of the file.
///
/// Throws DataError, naming the file, if it is damaged, of another version, or lacks the variable.
/// Source: MathWorks, "MAT-File Format", level 5.
MatArray read_mat_variable(const std::filesystem::path& path, const std::string& name);

}  // namespace ibot::data
