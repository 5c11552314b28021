// Python, where the machine has it, as a second opinion.
#pragma once

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>

#include "support/run_program.h"
#include "support/temporary_folder.h"

namespace ibot::testing {

/// What `python3` prints when it runs `program`; throws when it fails.
inline std::string python_output(const std::string& program) {
  const TemporaryFolder folder;
  std::ofstream(folder / "program.py") << program;
  const auto command = "python3 " + shell_quoted((folder / "program.py").string()) + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start python3");
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  if (::pclose(pipe) != 0) throw std::runtime_error("python3 failed:\n" + output);
  return output;
}

/// Whether `import modules` works there.
inline bool python_has(const std::string& modules) {
  try {
    return python_output("import " + modules + "\nprint(1)\n") == "1\n";
  } catch (const std::runtime_error&) {
    return false;
  }
}

}  // namespace ibot::testing
