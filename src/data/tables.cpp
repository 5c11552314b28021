#include "data/tables.h"

#include "ibot/base/error.h"
#include "ibot/base/hash.h"

namespace ibot::data {
namespace {

constexpr const char* kHash = "xxh3";

std::string hash_of(const io::Safetensors& content) {
  Hash hash;
  for (const auto& [key, text] : content.metadata) {
    // The hash is stored beside what it is of.
    if (key != kHash) hash.add(concat(key, '=', text, '\n'));
  }
  for (const auto& [name, tensor] : content.tensors) {
    hash.add(concat(name, ' ', tensor.sizes(), '\n'));
    hash.add(tensor.const_data_ptr(), tensor.nbytes());
  }
  return hash.hex();
}

}  // namespace

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

void write_tables(const std::filesystem::path& file, io::Safetensors content) {
  content.metadata[kHash] = hash_of(content);
  io::write_safetensors(file, content);
}

io::Safetensors map_tables(const std::filesystem::path& file) {
  auto content = io::map_safetensors(file);
  const auto hash = content.metadata.find(kHash);
  IBOT_CHECK_AS(CheckpointError, hash != content.metadata.end() && hash->second == hash_of(content),
                file.string(), ": damaged, its hash is not that of its content");
  return content;
}

}  // namespace ibot::data
