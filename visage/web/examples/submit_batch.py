import time

import requests

session = requests.Session()
session.headers["Authorization"] = "Bearer TOKEN"
with open("photo.jpg", "rb") as photo:
    response = session.post("http://localhost:8080/batches?method=mosaic", files=[("files", photo)], timeout=600)
response.raise_for_status()
batch = response.json()
address = f"http://localhost:8080/batches/{batch['id']}"
while batch["state"] in {"waiting", "running"}:
    time.sleep(1)
    batch = session.get(address, timeout=60).json()
    print(batch["done"], "of", batch["total"])
with open("result.zip", "wb") as result:
    result.writelines(session.get(f"{address}/result.zip", timeout=600).iter_content(2**20))
session.delete(address, timeout=60)
