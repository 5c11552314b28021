// The subcommands of ibot-model.
#pragma once

#include <string>
#include <vector>

namespace ibot::apps {

/// Prints the contents of the file; `key` names its network if that is neither student nor teacher.
/// Returns the exit status, as all of these do.
int show_info(const std::string& file, const std::string& key);

struct ConvertArguments {
  std::string from;
  std::string to;                 // .safetensors or .pth
  std::string part = "backbone";  // backbone, network or all
  std::string key = "teacher";    // which network
  std::vector<std::string> overrides;
};

/// Writes the part of `from` to `to`, in the format given by the extension of `to`.
int convert(const ConvertArguments& arguments);

struct ExportArguments {
  std::string from;
  std::string to;
  std::string key = "teacher";
  std::vector<std::string> overrides;
};

/// Writes the backbone as a TorchScript program.
int export_script(const ExportArguments& arguments);

}  // namespace ibot::apps
