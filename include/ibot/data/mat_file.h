// Reading MATLAB 5 files: the arrays that data sets publish their labels in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ibot::data {

/// A numeric array, a string, or an array of structs, elements column by column.
struct MatArray {
  std::string name;
  /// Values of a numeric array; the code units of a string.
  std::vector<double> numbers;
  /// Of a struct array: names, and one array a field for each element, fields[element * names + i].
  std::vector<std::string> field_names;
  std::vector<MatArray> fields;

  std::string text() const { return {numbers.begin(), numbers.end()}; }
};

/// The variable `name`. Compressed elements are inflated; other kinds of variables are passed over.
/// Every length is checked against what is left of the file.
///
/// Throws DataError, naming the file, when it is damaged, of another version, or lacks the
/// variable. Source: MathWorks, "MAT-File Format", level 5.
MatArray read_mat_variable(const std::filesystem::path& path, const std::string& name);

}  // namespace ibot::data
