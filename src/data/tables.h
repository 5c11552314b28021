// Files of name tables about a data set, in safetensors.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/name_table.h"
#include "ibot/io/safetensors.h"

namespace ibot::data {

NameTable table_of(const std::vector<std::string>& names);

/// Adds the tensors `name` and `name`.marks and the number of names as metadata `name`.
void store_names(io::Safetensors& content, const std::string& name, const NameTable& table);

/// Throws std::exception if there is no such table.
NameTable stored_names(const io::Safetensors& content, const std::string& name);
std::vector<std::string> stored_strings(const io::Safetensors& content, const std::string& name);

/// Writes the file with a hash of its content. Throws Error if it cannot.
void write_tables(const std::filesystem::path& file, io::Safetensors content);

/// Maps a file of write_tables(), verifying the hash. Throws CheckpointError if missing or damaged.
io::Safetensors map_tables(const std::filesystem::path& file);

}  // namespace ibot::data
