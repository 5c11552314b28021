#include "data/stored_names.h"

namespace ibot::data {

NameTable table_of(const std::vector<std::string>& names) {
  NameTableBuilder builder;
  for (const auto& name : names) builder.add(name);
  return builder.build();
}

void store_names(io::Safetensors& content, const std::string& name, const NameTable& table) {
  content.tensors[name] = table.text();
  content.tensors[name + ".marks"] = table.marks();
  content.metadata[name] = std::to_string(table.size());
}

NameTable stored_names(const io::Safetensors& content, const std::string& name) {
  return {content.tensors.at(name), content.tensors.at(name + ".marks"),
          std::stoll(content.metadata.at(name))};
}

std::vector<std::string> stored_strings(const io::Safetensors& content, const std::string& name) {
  const auto table = stored_names(content, name);
  std::vector<std::string> strings;
  for (int64_t i = 0; i < table.size(); ++i) strings.emplace_back(table[i]);
  return strings;
}

}  // namespace ibot::data
