import requests

with open("photo.jpg", "rb") as photo:
    answer = requests.post("http://localhost:8080/predict?annotated=false", files={"image": photo}, timeout=60)
answer.raise_for_status()
for face in answer.json()["faces"]:
    print(face["bbox"], face["gender"], face["age"])
