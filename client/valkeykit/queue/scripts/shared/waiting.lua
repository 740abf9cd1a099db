local function waiting(priority)
  return base .. ":waiting:" .. priority
end
